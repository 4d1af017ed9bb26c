package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed84377926/millrace/state"
)

// Summary is what the airport's HTTP queries report about January.
type Summary struct {
	Scheduled int `json:"scheduled"`
	Cancelled int `json:"cancelled"`
	Departed  int `json:"departed"`
	Arrived   int `json:"arrived"`

	Routes    []RouteCount  `json:"routes"`  // largest first
	Windows   []DelayWindow `json:"windows"` // by carrier and hour
	WorstHour *WorstHour    `json:"worstHour"`

	Commands          int     `json:"commands"`
	CommandsPerSecond float64 `json:"commandsPerSecond"`
	Records           int64   `json:"records"`
	RecordsPerSecond  float64 `json:"recordsPerSecond"`
	Seconds           float64 `json:"seconds"`
}

// WorstHour is the hour with the highest mean delay among the hours with enough departures.
type WorstHour struct {
	Start             time.Time `json:"start"`
	Departures        int       `json:"departures"`
	MeanDelayMinutes  float64   `json:"meanDelayMinutes"`
	MaxDelayMinutes   int       `json:"maxDelayMinutes"`
	totalDelayMinutes float64
}

// enoughDepartures is the number of departures that an hour needs to count as the worst.
const enoughDepartures = 10

// counts are numbers that must be equal in the views and in the commands.
type counts struct{ scheduled, cancelled, departed, arrived int }

func (c counts) String() string {
	return fmt.Sprintf("scheduled %d, cancelled %d, departed %d, arrived %d", c.scheduled, c.cancelled, c.departed, c.arrived)
}

func (s *Summary) counts() counts { return counts{s.Scheduled, s.Cancelled, s.Departed, s.Arrived} }

// countsOf returns the counts after a complete load of the commands.
func countsOf(commands []Command) counts {
	var c counts
	for i := range commands {
		switch commands[i].Name {
		case "schedule":
			c.scheduled++
		case "cancel":
			c.cancelled++
		case "depart":
			c.departed++
		case "arrive":
			c.arrived++
		}
	}
	return c
}

// summarize queries the edge for all flights, carriers and days. Every answer reflects token, and therefore everything
// that was loaded.
func summarize(ctx context.Context, client *Client, flights []FlightRow, token state.Offsets) (*Summary, error) {
	s, reader := &Summary{}, listReader{client, token}
	dates, origins, carriers := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, f := range flights {
		dates[f.ID.Date], origins[f.ID.Origin], carriers[f.ID.Carrier] = true, true, true
	}
	for _, origin := range sorted(origins) {
		for _, date := range sorted(dates) {
			query := url.Values{"date": {date}, "limit": {strconv.Itoa(maxLimit)}}
			if err := reader.list(ctx, "/v1/airports/"+origin+"/departures", query, "departures", s.add); err != nil {
				return nil, err
			}
		}
	}
	for _, carrier := range sorted(carriers) {
		err := reader.list(ctx, "/v1/carriers/"+carrier+"/delays", nil, "windows", func(window DelayWindow) {
			s.Windows = append(s.Windows, window)
		})
		if err != nil {
			return nil, err
		}
	}
	query := url.Values{"limit": {strconv.Itoa(maxLimit)}}
	err := reader.list(ctx, "/v1/routes", query, "routes", func(route RouteCount) {
		s.Routes = append(s.Routes, route)
	})
	if err != nil {
		return nil, err
	}
	s.WorstHour = worstHour(s.Windows)
	return s, nil
}

// add counts a flight by its status.
func (s *Summary) add(flight FlightView) {
	s.Scheduled++
	switch flight.Status {
	case Cancelled:
		s.Cancelled++
	case Departed:
		s.Departed++
	case Arrived:
		s.Departed++
		s.Arrived++
	case Scheduled:
	}
}

// listReader reads whole lists that reflect token.
type listReader struct {
	client *Client
	token  state.Offsets
}

// list gets a list page by page and calls add for each element of the named member.
func (r listReader) list[E any](ctx context.Context, path string, query url.Values, member string, add func(E)) error {
	for cursor := ""; ; {
		page := url.Values{}
		maps.Copy(page, query)
		if cursor != "" {
			page.Set("cursor", cursor)
		}
		var answer map[string]json.RawMessage
		if err := r.client.Get(ctx, path, page, r.token, &answer); err != nil {
			return err
		}
		var elements []E
		var meta struct {
			Next string `json:"next"`
		}
		if err := errors.Join(json.Unmarshal(answer[member], &elements), json.Unmarshal(answer["meta"], &meta)); err != nil {
			return fmt.Errorf("get %s: the answer has no list of %s with meta: %w", path, member, err)
		}
		for _, element := range elements {
			add(element)
		}
		if cursor = meta.Next; cursor == "" {
			return nil
		}
	}
}

// awaitViews waits until every view that the summary reads reflects token.
func awaitViews(ctx context.Context, client *Client, token state.Offsets) error {
	for _, path := range []string{
		"/v1/airports/JFK/departures?date=2013-01-01&limit=1",
		"/v1/carriers/UA/delays?to=2013-01-01T00:00:00Z",
		"/v1/routes?limit=1",
	} {
		if err := client.Get(ctx, path, nil, token, new(any)); err != nil {
			return err
		}
	}
	return nil
}

// worstHour sums over the carriers. It returns nil if no hour has enough departures.
func worstHour(windows []DelayWindow) *WorstHour {
	hours := make(map[time.Time]*WorstHour)
	for _, w := range windows {
		hour := hours[w.Start]
		if hour == nil {
			hour = &WorstHour{Start: w.Start, MaxDelayMinutes: w.MaxDelayMinutes}
			hours[w.Start] = hour
		}
		hour.Departures += w.Departures
		hour.totalDelayMinutes += w.MeanDelayMinutes * float64(w.Departures)
		hour.MeanDelayMinutes = hour.totalDelayMinutes / float64(hour.Departures)
		hour.MaxDelayMinutes = max(hour.MaxDelayMinutes, w.MaxDelayMinutes)
	}
	var worst *WorstHour
	for _, hour := range hours {
		if hour.Departures < enoughDepartures {
			continue
		}
		if worst == nil || hour.MeanDelayMinutes > worst.MeanDelayMinutes ||
			hour.MeanDelayMinutes == worst.MeanDelayMinutes && hour.Start.Before(worst.Start) {
			worst = hour
		}
	}
	return worst
}

// addSpeed adds the rates of the load: commands until all were answered, and records until all views reflected them.
func (s *Summary) addSpeed(report LoadReport, elapsed time.Duration, records int64) {
	s.Commands = report.Accepted + report.Repeated + report.Refused
	s.CommandsPerSecond = perSecond(int64(s.Commands), report.Elapsed)
	s.Records, s.Seconds = records, elapsed.Seconds()
	s.RecordsPerSecond = perSecond(records, elapsed)
}

func perSecond(n int64, d time.Duration) float64 {
	return math.Round(float64(n) / max(d.Seconds(), 0.001))
}

// check compares the summary with the commands that were sent, and its parts with each other.
func (s *Summary) check(sent counts) error {
	if got := s.counts(); got != sent {
		return fmt.Errorf("the views say %v, but sent was %v", got, sent)
	}
	var onRoutes, inWindows int
	for _, route := range s.Routes {
		onRoutes += int(route.Departures)
	}
	for _, window := range s.Windows {
		inWindows += window.Departures
	}
	if onRoutes != sent.departed || inWindows != sent.departed {
		return fmt.Errorf("of %d departures, the routes have %d and the carriers %d", sent.departed, onRoutes, inWindows)
	}
	return nil
}

// print writes the summary as text.
func (s *Summary) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintln(&b, s.counts())
	fmt.Fprintln(&b, "top routes:")
	for _, route := range s.Routes[:min(5, len(s.Routes))] {
		fmt.Fprintf(&b, "  %s %d\n", route.Route, route.Departures)
	}
	if w := s.WorstHour; w != nil {
		fmt.Fprintf(&b, "worst hour: %s, %d departures, mean delay %.1f min, largest %d min\n",
			w.Start.Format(time.RFC3339), w.Departures, w.MeanDelayMinutes, w.MaxDelayMinutes)
	}
	if s.Commands == 0 {
		fmt.Fprintln(&b, "nothing was left to load")
	} else {
		fmt.Fprintf(&b, "%d commands in %.1f s: %.0f commands/s; %d records processed: %.0f records/s\n",
			s.Commands, s.Seconds, s.CommandsPerSecond, s.Records, s.RecordsPerSecond)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// write writes the summary to the file as JSON.
func (s *Summary) write(path string) error {
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return fmt.Errorf("encode summary: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
