package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// scheduledAhead is the time between the scheduling of a flight and its scheduled departure.
const scheduledAhead = 2 * time.Hour

// Command is one command about one flight, ready to be posted.
type Command struct {
	Flight FlightID
	Name   string // schedule, depart, arrive or cancel
	At     time.Time
	Body   []byte // JSON
}

// Key is the Idempotency-Key of the command. A flight gets each command at most once, so the id and the name are a
// unique key, and a resumed load sends the same keys again.
func (c *Command) Key() string { return c.Flight.String() + "/" + c.Name }

// commandsOf turns flights into the commands that report them, in the order of time.
func commandsOf(flights []FlightRow) ([]Command, error) {
	var commands []Command
	for _, f := range flights {
		for _, s := range stepsOf(f) {
			body, err := json.Marshal(s.payload)
			if err != nil {
				return nil, fmt.Errorf("encode command %s of flight %s: %w", s.name, f.ID, err)
			}
			commands = append(commands, Command{Flight: f.ID, Name: s.name, At: s.at, Body: body})
		}
	}
	slices.SortStableFunc(commands, func(a, b Command) int { return a.At.Compare(b.At) })
	return commands, nil
}

type step struct {
	name    string
	at      time.Time
	payload any
}

// stepsOf returns the commands of one flight with their times.
func stepsOf(f FlightRow) []step {
	planned := f.ScheduledDeparture
	announced := planned.Add(-scheduledAhead)
	steps := []step{{"schedule", announced, Schedule{
		OccurredAt:         announced,
		Destination:        f.Destination,
		TailNumber:         f.TailNumber,
		DistanceMiles:      f.DistanceMiles,
		ScheduledDeparture: planned,
	}}}
	if !f.Departed {
		return append(steps, step{"cancel", planned, Cancel{Report{OccurredAt: planned}}})
	}
	departed := planned.Add(f.DepartureDelay)
	steps = append(steps, step{"depart", departed, Depart{Report{OccurredAt: departed}}})
	if f.AirTime == 0 {
		return steps
	}
	landed := departed.Add(f.AirTime)
	return append(steps, step{"arrive", landed, Arrive{Report{OccurredAt: landed}}})
}

// firstDays returns the flights of the first days of the month.
func firstDays(flights []FlightRow, days int) []FlightRow {
	var kept []FlightRow
	for _, f := range flights {
		if day, err := time.Parse(time.DateOnly, f.ID.Date); err == nil && day.Day() <= days {
			kept = append(kept, f)
		}
	}
	return kept
}
