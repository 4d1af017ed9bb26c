package state_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the tests are the same on each machine

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	require.NoError(t, err)
	return loc
}

// instant reads a time with its offset.
func instant(t testing.TB, text string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at.UnixMilli()
}

// Each window by the calendar, from its first instant to the last one before its end.
func TestCalendar(t *testing.T) {
	const half = 30 * time.Minute // of an hour
	for _, c := range []struct {
		story      string
		unit       state.Unit
		first      time.Weekday
		zone       string
		at         string
		start, end string
		length     time.Duration
	}{
		{
			"the clocks are set forward: 46 half-hours", state.Day, 0, "Europe/Berlin", "2024-03-31T12:00:00+02:00",
			"2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00", 46 * half,
		},
		{
			"an ordinary day: 48 half-hours", state.Day, 0, "Europe/Berlin", "2024-04-01T00:00:00+02:00",
			"2024-04-01T00:00:00+02:00", "2024-04-02T00:00:00+02:00", 48 * half,
		},
		{
			"the clocks are set back: 50 half-hours", state.Day, 0, "Europe/Berlin", "2024-10-27T02:30:00+01:00",
			"2024-10-27T00:00:00+02:00", "2024-10-28T00:00:00+01:00", 50 * half,
		},
		{
			"half an hour", state.Day, 0, "Australia/Lord_Howe", "2024-04-07T12:00:00+10:30",
			"2024-04-07T00:00:00+11:00", "2024-04-08T00:00:00+10:30", 49 * half,
		},
		{
			"no midnight: the day begins at 01:00", state.Day, 0, "America/Sao_Paulo", "2018-11-04T12:00:00-02:00",
			"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00", 46 * half,
		},
		{
			"the day before", state.Day, 0, "America/Sao_Paulo", "2018-11-03T23:59:59-03:00",
			"2018-11-03T00:00:00-03:00", "2018-11-04T00:00:00-03:00", 48 * half,
		},
		{
			"the clocks are set back at midnight: the hour from 23:00 comes twice", state.Day, 0, "America/Sao_Paulo", "2018-02-17T23:30:00-03:00",
			"2018-02-17T00:00:00-02:00", "2018-02-18T00:00:00-03:00", 50 * half,
		},
		{
			"no midnight", state.Day, 0, "Asia/Beirut", "2021-03-28T12:00:00+03:00",
			"2021-03-28T01:00:00+03:00", "2021-03-29T00:00:00+03:00", 46 * half,
		},
		{
			"a month without its first midnight", state.Month, 0, "Africa/Cairo", "2011-01-15T12:00:00+02:00",
			"2011-01-01T00:00:00+02:00", "2011-02-01T00:00:00+02:00", 31 * 48 * half,
		},
		{
			"a day that was skipped: the 30th", state.Day, 0, "Pacific/Apia", "2011-12-29T23:59:59-10:00",
			"2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00", 48 * half,
		},
		{
			"the day after the skipped one", state.Day, 0, "Pacific/Apia", "2011-12-31T00:00:00+14:00",
			"2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00", 48 * half,
		},
		{
			"the clocks went back over midnight, at 00:01: the minute after the first midnight and 23:01 to 24:00 belong to the next day", state.Day, 0,
			"America/St_Johns", "2010-11-06T23:30:00-03:30", "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30", 50 * half,
		},
		{
			"a week over the end of the year", state.Week, time.Monday, "Europe/Berlin", "2025-01-01T00:00:00+01:00",
			"2024-12-30T00:00:00+01:00", "2025-01-06T00:00:00+01:00", 7 * 48 * half,
		},
		{
			"a week from Sunday", state.Week, time.Sunday, "America/New_York", "2024-03-16T23:59:59-04:00",
			"2024-03-10T00:00:00-05:00", "2024-03-17T00:00:00-04:00", 7*48*half - time.Hour,
		},
		{
			"the first day of a week", state.Week, time.Saturday, "UTC", "2024-06-01T00:00:00Z",
			"2024-06-01T00:00:00Z", "2024-06-08T00:00:00Z", 7 * 48 * half,
		},
		{
			"a leap February", state.Month, 0, "Europe/Berlin", "2024-02-29T23:59:59+01:00",
			"2024-02-01T00:00:00+01:00", "2024-03-01T00:00:00+01:00", 29 * 48 * half,
		},
		{
			"a month over a change", state.Month, 0, "Europe/Berlin", "2024-03-31T23:59:59+02:00",
			"2024-03-01T00:00:00+01:00", "2024-04-01T00:00:00+02:00", 31*48*half - time.Hour,
		},
		{
			"a quarter", state.Quarter, 0, "Europe/Berlin", "2024-11-11T11:11:11+01:00",
			"2024-10-01T00:00:00+02:00", "2025-01-01T00:00:00+01:00", 92*48*half + time.Hour,
		},
		{
			"a leap year", state.Year, 0, "Asia/Kolkata", "2024-12-31T23:59:59+05:30",
			"2024-01-01T00:00:00+05:30", "2025-01-01T00:00:00+05:30", 366 * 48 * half,
		},
		{
			"the window that holds the epoch is cut there", state.Day, 0, "Europe/Berlin", "1970-01-01T01:00:00+01:00",
			"1970-01-01T01:00:00+01:00", "1970-01-02T00:00:00+01:00", 46 * half,
		},
		{
			"in the west the epoch was in December", state.Month, 0, "America/New_York", "1970-01-01T00:00:00Z",
			"1970-01-01T00:00:00Z", "1970-01-01T00:00:00-05:00", 10 * half,
		},
	} {
		t.Run(fmt.Sprintf("%v in %s: %s", c.unit, c.zone, c.story), func(t *testing.T) {
			calendar := state.Calendar{Unit: c.unit, First: c.first, Zone: zone(t, c.zone)}
			require.NoError(t, calendar.Validate())
			want := state.Window{Start: instant(t, c.start), End: instant(t, c.end)}
			require.Equal(t, want.String(), calendar.Window(instant(t, c.at)).String())
			require.Equal(t, c.length.Milliseconds(), want.End-want.Start)
			require.Equal(t, want, calendar.Window(want.Start))
			require.Equal(t, want, calendar.Window(want.End-1))
			require.Equal(t, want.End, calendar.Window(want.End).Start)
		})
	}
}

// Windows follow each other without a gap and without an overlap, each is at most as long as its bound, and each begins
// at the first instant of its date. The naive definition walks through time in steps of 15 minutes and looks at the
// clocks.
func TestCalendar_random(t *testing.T) {
	zones := []string{
		"UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia", "America/St_Johns", "Australia/Lord_Howe",
		"Asia/Kathmandu", "Antarctica/Casey", "Antarctica/Troll", "America/Havana", "Asia/Gaza", "Africa/Casablanca", "Asia/Tehran", "Pacific/Kwajalein",
	}
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc := zone(t, name)
			dice := rand.New(rand.NewPCG(1, 2))
			for _, unit := range []state.Unit{state.Day, state.Week, state.Month, state.Quarter, state.Year} {
				c := state.Calendar{Unit: unit, First: time.Weekday(dice.IntN(7)), Zone: loc}
				windows := state.NewCalendarWindows(c)
				for range 30 {
					at := dice.Int64N(time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
					w := c.Window(at)
					require.LessOrEqual(t, w.Start, at)
					require.Less(t, at, w.End)
					require.LessOrEqual(t, w.End-w.Start, unit.Longest().Milliseconds())
					require.Equal(t, w, c.Window(w.Start))
					require.Equal(t, w, c.Window(w.End-1))
					require.Equal(t, w.End, c.Window(w.End).Start)
					require.Equal(t, w, windows.At(at))
					if w.Start > 0 {
						require.Equal(t, w.Start, c.Window(w.Start-1).End)
						requireFirst(t, c, w.Start)
					}
				}
			}
		})
	}
}

// requireFirst checks that the date at start is the first of its unit, or the first one that there was, and that the
// clocks never showed it before.
func requireFirst(t *testing.T, c state.Calendar, start int64) {
	t.Helper()
	shown := dateOf(start, c.Zone)
	for before := start - 1; before > start-(50*time.Hour).Milliseconds(); before -= (15 * time.Minute).Milliseconds() {
		require.True(t, dateOf(before, c.Zone).Before(shown), "%v before %v", time.UnixMilli(before).In(c.Zone), shown)
	}
	before := dateOf(start-1, c.Zone)
	unitOf := func(date time.Time) string {
		switch c.Unit {
		case state.Week:
			return date.AddDate(0, 0, -((int(date.Weekday()) - int(c.First) + 7) % 7)).String()
		case state.Month:
			return fmt.Sprint(date.Year(), date.Month())
		case state.Quarter:
			return fmt.Sprint(date.Year(), (date.Month()-1)/3)
		case state.Year:
			return fmt.Sprint(date.Year())
		default:
			return date.String()
		}
	}
	require.NotEqual(t, unitOf(before), unitOf(shown))
}

func dateOf(at int64, loc *time.Location) time.Time {
	year, month, day := time.UnixMilli(at).In(loc).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

func TestCalendar_endOfTime(t *testing.T) {
	for _, unit := range []state.Unit{state.Day, state.Week, state.Month, state.Quarter, state.Year} {
		w := state.Calendar{Unit: unit, Zone: zone(t, "Europe/Berlin")}.Window(math.MaxInt64 - 1)
		require.Equal(t, int64(math.MaxInt64), w.End)
		require.Positive(t, w.Start)
	}
}

// The text is part of the identity of a topology.
func TestCalendar_String(t *testing.T) {
	for want, c := range map[string]state.Calendar{
		"day in Europe/Berlin":           {Unit: state.Day, Zone: zone(t, "Europe/Berlin")},
		"week from Monday in UTC":        {Unit: state.Week, First: time.Monday, Zone: time.UTC},
		"month in office (-3h30m0s)":     {Unit: state.Month, Zone: time.FixedZone("office", -12600)},
		"quarter in America/Los_Angeles": {Unit: state.Quarter, Zone: zone(t, "America/Los_Angeles")},
		"year in Asia/Tokyo":             {Unit: state.Year, Zone: zone(t, "Asia/Tokyo")},
	} {
		require.Equal(t, want, c.String())
	}
}

func TestCalendar_Validate(t *testing.T) {
	for want, c := range map[string]state.Calendar{
		"the unit of the calendar is unit(0)": {Zone: time.UTC},
		"the time zone of each day is nil":    {Unit: state.Day},
		"is time.Local":                       {Unit: state.Day, Zone: time.Local},
		"a week begins on":                    {Unit: state.Week, First: 7, Zone: time.UTC},
	} {
		require.ErrorContains(t, c.Validate(), want)
	}
}

// The window of the record before costs a comparison.
func BenchmarkCalendarWindows(b *testing.B) {
	c := state.Calendar{Unit: state.Day, Zone: zone(b, "Europe/Berlin")}
	at := instant(b, "2024-10-27T02:30:00+01:00")
	b.Run("same", func(b *testing.B) {
		w := state.NewCalendarWindows(c)
		for b.Loop() {
			w.At(at)
		}
	})
	b.Run("other", func(b *testing.B) {
		for b.Loop() {
			c.Window(at)
		}
	})
}
