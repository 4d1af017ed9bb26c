package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWorstHour(t *testing.T) {
	window := func(clock string, departures int, mean float64, largest int) DelayWindow {
		return DelayWindow{Start: at(clock), Departures: departures, MeanDelayMinutes: mean, MaxDelayMinutes: largest}
	}
	require.Nil(t, worstHour(nil))
	require.Nil(t, worstHour([]DelayWindow{window("10:00", 9, 500, 900)}), "too few departures to say so")

	worst := worstHour([]DelayWindow{
		window("12:00", 10, 30, 35),
		window("11:00", 10, 30, 40), // as bad, but earlier
		window("10:00", 6, -2, -1),
		window("10:00", 4, 5, 50),
	})
	require.Equal(t, at("11:00"), worst.Start)
	require.Equal(t, 10, worst.Departures)
	require.InDelta(t, 30, worst.MeanDelayMinutes, 0)
	require.Equal(t, 40, worst.MaxDelayMinutes)

	early := worstHour([]DelayWindow{window("10:00", 6, -2, -1), window("10:00", 4, -7, -3)})
	require.InDelta(t, -4, early.MeanDelayMinutes, 0)
	require.Equal(t, -1, early.MaxDelayMinutes)
}

func TestSummary_check(t *testing.T) {
	sent := counts{scheduled: 5, cancelled: 1, departed: 4, arrived: 3}
	good := func() *Summary {
		return &Summary{
			Scheduled: 5, Cancelled: 1, Departed: 4, Arrived: 3,
			Routes:  []RouteCount{{"JFK-LAX", 3}, {"EWR-IAH", 1}},
			Windows: []DelayWindow{{Departures: 2}, {Departures: 2}},
		}
	}
	require.NoError(t, good().check(sent))

	lost := good()
	lost.Arrived--
	require.ErrorContains(t, lost.check(sent), "arrived 2, but sent was")
	doubled := good()
	doubled.Routes[1].Departures++
	require.ErrorContains(t, doubled.check(sent), "of 4 departures, the routes have 5")
	late := good()
	late.Windows = late.Windows[:1]
	require.ErrorContains(t, late.check(sent), "the carriers 2")
}

func TestSummary_print(t *testing.T) {
	var out strings.Builder
	s := &Summary{Scheduled: 5, Cancelled: 1, Departed: 4, Arrived: 3, Routes: []RouteCount{{"JFK-LAX", 4}}}
	s.addSpeed(LoadReport{Accepted: 10, Repeated: 3, Elapsed: 2 * time.Second}, 4*time.Second, 40)
	require.NoError(t, s.print(&out))
	require.Equal(t, `scheduled 5, cancelled 1, departed 4, arrived 3
top routes:
  JFK-LAX 4
13 commands in 4.0 s: 7 commands/s; 40 records processed: 10 records/s
`, out.String())
}

func TestProgress(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out, total: 40}
	p.advance(9) // as a resumed load does
	for range 31 {
		p.advance(1)
	}
	p.end()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 9)
	require.Equal(t, "loading: 9 of 40 commands (22%)", lines[0])
	require.Equal(t, "loading: 12 of 40 commands (30%)", lines[1])
	require.Equal(t, "loading: 40 of 40 commands (100%)", lines[8])
}

// On a terminal, one line is rewritten, and stays at the end.
func TestProgress_onTerminal(t *testing.T) {
	var out strings.Builder
	p := &progress{out: &out, total: 200, live: true}
	for range 4 {
		p.advance(1)
	}
	p.end()
	require.Equal(t, "\r\x1b[Kloading: 2 of 200 commands (1%)\r\x1b[Kloading: 4 of 200 commands (2%)\n", out.String())
}

func TestParseOptions(t *testing.T) {
	var usage strings.Builder
	o, err := parseOptions([]string{"--brokers", "a:1, b:2,"}, &usage)
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, o.brokers)
	require.Equal(t, defaultData, o.data)
	require.Equal(t, defaultListen, o.listen)
	require.Equal(t, january, o.limitDays)

	o, err = parseOptions([]string{"--once"}, &usage)
	require.NoError(t, err)
	require.Empty(t, o.data, "a temporary directory")
	require.Equal(t, "127.0.0.1:0", o.listen, "a free port")
}
