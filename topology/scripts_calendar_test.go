package topology_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests are the same on each machine

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func berlin() *time.Location {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return loc
}

// calendarScenarios are aggregates in windows by the calendar, whose windows differ in length.
func calendarScenarios() map[string]topologytest.Scenario {
	str := codecs.String
	number := topologytest.Format{Value: topologytest.TextOf(codecs.Int64)}
	days := topology.Days(berlin()).Grace(time.Hour)
	return map[string]topologytest.Scenario{
		"calendar-days": {Formats: map[string]topologytest.Format{"out": number, "flights-by-carrier": number}, Define: func(b *topology.Builder) {
			outCount(flights(b).GroupByKey().WindowedBy(days).Count("flights-by-carrier").ToStream(inWindow))
		}},
		"calendar-days-join": closedJoin(topology.CalendarWindowedCodec(str, days), func(s topology.GroupedStream[string, string], name string) topology.WindowedTable[string, string] {
			return s.WindowedBy(days).EmitOnClose().Aggregate(name, none, join, str)
		}),
		"calendar-weeks-suppress": {Define: func(b *topology.Builder) {
			out(flights(b).GroupByKey().WindowedBy(topology.Weeks(time.Monday, berlin()).Grace(0)).Aggregate("gates", none, join, str).
				Suppress("final", topology.UntilWindowCloses()).ToStream(inWindow))
		}},
		"calendar-months-cogroup": {Define: func(b *topology.Builder) {
			out(gatesAndBags(b).WindowedBy(topology.Months(berlin())).Aggregate("both", none, str).ToStream(inWindow))
		}},
	}
}

// Random records over changes of the clocks, beside a count with time.Time. Berlin has a midnight each day, so that
// time.Date is a definition of its own.
func TestCalendarWindows(t *testing.T) {
	loc := berlin()
	for unit, c := range map[string]struct {
		windows topology.CalendarWindows
		naive   func(at time.Time) (start, end time.Time)
	}{
		"days": {topology.Days(loc), func(at time.Time) (start, end time.Time) {
			y, m, d := at.Date()
			return time.Date(y, m, d, 0, 0, 0, 0, loc), time.Date(y, m, d+1, 0, 0, 0, 0, loc)
		}},
		"weeks": {topology.Weeks(time.Sunday, loc), func(at time.Time) (start, end time.Time) {
			y, m, d := at.Date()
			d -= int(at.Weekday())
			return time.Date(y, m, d, 0, 0, 0, 0, loc), time.Date(y, m, d+7, 0, 0, 0, 0, loc)
		}},
		"months": {topology.Months(loc), func(at time.Time) (start, end time.Time) {
			y, m, _ := at.Date()
			return time.Date(y, m, 1, 0, 0, 0, 0, loc), time.Date(y, m+1, 1, 0, 0, 0, 0, loc)
		}},
	} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%s/seed=%d", unit, seed), func(t *testing.T) {
				t.Parallel()
				const grace = 5 * time.Hour
				b := topology.NewBuilder("calendar")
				outCount(flights(b).GroupByKey().WindowedBy(c.windows.Grace(grace)).Count("all").ToStream(inWindow))
				topology.Source(b, "flights-too", codecs.String, codecs.String).GroupByKey().
					WindowedBy(c.windows.Grace(grace)).EmitOnClose().Count("final").ToStream(inWindow).To("closed", codecs.String, codecs.Int64)
				top, err := b.Build()
				require.NoError(t, err)
				d := topologytest.NewDriver(t, top, topologytest.CommitRandomly(seed), topologytest.CacheBytes(1))
				inputs := []*topologytest.InputTopic[string, string]{
					topologytest.Input(d, "flights", codecs.String, codecs.String),
					topologytest.Input(d, "flights-too", codecs.String, codecs.String),
				}
				dice := rand.New(rand.NewPCG(seed, 9))
				now := time.Date(2024, time.February, 27, 12, 0, 0, 0, loc)
				latest := now.UnixMilli()
				counts, ends := make(map[string]int64), make(map[string]time.Time)
				var want, wantClosed []string
				for range 400 {
					now = now.Add(time.Duration(dice.Int64N(int64(40 * time.Hour))))
					at := now.Add(-time.Duration(dice.Int64N(int64(12 * time.Hour)))).Truncate(time.Millisecond)
					key := string(rune('A' + dice.IntN(2)))
					for _, in := range inputs {
						in.PipeRecord(topology.Record[string, string]{Key: key, Value: "x", Timestamp: at.UnixMilli()})
					}
					latest = max(latest, at.UnixMilli())
					start, end := c.naive(at.In(loc))
					window := inWindow(key, state.Window{Start: start.UnixMilli(), End: end.UnixMilli()})
					if end.Add(grace).UnixMilli() > latest {
						counts[window]++
						ends[window] = end
						want = append(want, fmt.Sprint(window, counts[window]))
					}
					var closed []string
					for window, end := range ends {
						if end.Add(grace).UnixMilli() <= latest {
							closed = append(closed, fmt.Sprintf("%s %d", window, counts[window]))
							delete(ends, window)
						}
					}
					slices.SortFunc(closed, byWindow)
					wantClosed = append(wantClosed, closed...)
					switch dice.IntN(30) {
					case 0:
						d.Restore()
					case 1:
						d.Crash()
					}
				}
				var got, gotClosed []string
				for _, r := range topologytest.Output(d, "out", codecs.String, codecs.Int64).Drain() {
					got = append(got, fmt.Sprint(r.Key, r.Value))
				}
				for _, r := range topologytest.Output(d, "closed", codecs.String, codecs.Int64).Drain() {
					gotClosed = append(gotClosed, fmt.Sprintf("%s %d", r.Key, r.Value))
				}
				require.Equal(t, want, got)
				require.Equal(t, wantClosed, gotClosed)
				for _, row := range topologytest.Windows(d, "all", codecs.String, codecs.Int64) {
					start, end := c.naive(time.UnixMilli(row.Window.Start).In(loc))
					require.Equal(t, state.Window{Start: start.UnixMilli(), End: end.UnixMilli()}, row.Window)
				}
			})
		}
	}
}

// byWindow sorts by the starts of windows, then by keys.
func byWindow(a, b string) int {
	read := func(s string) (key string, start int64) {
		if _, err := fmt.Sscanf(s, "%1s@%d", &key, &start); err != nil {
			panic(err)
		}
		return key, start
	}
	keyA, startA := read(a)
	keyB, startB := read(b)
	if startA != startB {
		return int(startA - startB)
	}
	return int(keyA[0]) - int(keyB[0])
}

// A key holds the start of its window, and the end follows from the calendar.
func TestCalendarWindowedCodec(t *testing.T) {
	days := topology.Days(berlin())
	codec := topology.CalendarWindowedCodec(codecs.String, days)
	start := time.Date(2024, time.October, 27, 0, 0, 0, 0, berlin()).UnixMilli()
	w := topology.Windowed[string]{Key: "KL", Window: state.Window{Start: start, End: start + (25 * time.Hour).Milliseconds()}}
	data, err := codec.Append(nil, w)
	require.NoError(t, err)
	ofOneSize, err := topology.TimeWindowedCodec(codecs.String, time.Hour).Append(nil, w)
	require.NoError(t, err)
	require.Equal(t, ofOneSize, data)
	got, err := codec.Decode(data)
	require.NoError(t, err)
	require.Equal(t, w, got)
	_, err = topology.CalendarWindowedCodec(codecs.String, topology.Days(nil)).Decode(data)
	require.ErrorContains(t, err, "key of a window: the time zone of each day is nil")
}

// The unit and the zone are part of the identity of the topology, the retention is not.
func TestCalendarWindows_fingerprint(t *testing.T) {
	fingerprint := func(w topology.Windows) string {
		b := topology.NewBuilder("app")
		flights(b).GroupByKey().WindowedBy(w).Count("n")
		top, err := b.Build()
		require.NoError(t, err)
		return top.Fingerprint()
	}
	days := fingerprint(topology.Days(berlin()))
	require.Equal(t, days, fingerprint(topology.Days(berlin()).Retention(1000*time.Hour)))
	for _, w := range []topology.Windows{
		topology.Days(time.UTC), topology.Months(berlin()), topology.Weeks(time.Monday, berlin()), topology.Tumbling(24 * time.Hour),
	} {
		require.NotEqual(t, days, fingerprint(w))
	}
	require.NotEqual(t, fingerprint(topology.Weeks(time.Sunday, time.UTC)), fingerprint(topology.Weeks(time.Monday, time.UTC)))
}

func TestBuild_refusesCalendarWindows(t *testing.T) {
	testRefusals(t, []refusal{{name: "calendar", define: func(b *topology.Builder) {
		g := flights(b).GroupByKey()
		for _, w := range []topology.CalendarWindows{
			{},
			topology.Days(nil), topology.Months(time.Local), topology.Weeks(8, time.UTC), topology.Days(time.UTC).Grace(-time.Second),
			topology.Days(time.UTC).Grace(time.Hour).Retention(48 * time.Hour),
		} {
			g.WindowedBy(w)
		}
	}, want: []string{
		"windowed-by: the unit of the calendar is unit(0); want a day, week, month, quarter or year",
		"windowed-by: the time zone of each day is nil; load one with time.LoadLocation, or give time.UTC",
		"windowed-by: the time zone of each month is time.Local, another one on each machine; load one by its name with time.LoadLocation",
		"windowed-by: a week begins on %!Weekday(8); want a day from time.Sunday to time.Saturday",
		"windowed-by: the grace of -1s is negative",
		"windowed-by: the retention of 48h0m0s is shorter than the longest window and the grace together, 49h0m0s: " +
			"windows would be lost while they are open",
	}}})
}
