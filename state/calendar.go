package state

import (
	"fmt"
	"math"
	"time"
)

// Unit is a unit of the calendar.
type Unit uint8

// The units of the calendar.
const (
	Day Unit = 1 + iota
	Week
	Month
	Quarter
	Year
)

// String returns the name of the unit, such as "day".
func (u Unit) String() string {
	switch u {
	case Day:
		return "day"
	case Week:
		return "week"
	case Month:
		return "month"
	case Quarter:
		return "quarter"
	case Year:
		return "year"
	default:
		return fmt.Sprintf("unit(%d)", uint8(u))
	}
}

// Longest returns a bound of the length of a unit: the number of its days, and one more for changes of the clocks.
func (u Unit) Longest() time.Duration {
	const day = 24 * time.Hour
	switch u {
	case Day:
		return 2 * day
	case Week:
		return 8 * day
	case Month:
		return 32 * day
	case Quarter:
		return 93 * day
	default:
		return 367 * day
	}
}

// Calendar divides time into units of the calendar of a time zone, one after the other and without gaps. A unit begins
// at the first instant at which the zone's clocks show its first date or a later one. So a day over a change of the
// clocks is longer or shorter than 24 hours, a day without midnight begins with the first time that it has, and a day
// that the zone skips has no window. No window begins before the Unix epoch: the first one is cut there.
//
// It does no I/O. The zone is what the caller has loaded. It may be used concurrently. The zero Calendar is none.
type Calendar struct {
	Unit Unit
	// First is the day on which a week begins.
	First time.Weekday
	Zone  *time.Location
}

// Validate returns an error that names what is wrong.
func (c Calendar) Validate() error {
	switch {
	case c.Unit < Day || c.Unit > Year:
		return fmt.Errorf("the unit of the calendar is %v; want a day, week, month, quarter or year", c.Unit)
	case c.Zone == nil:
		return fmt.Errorf("the time zone of each %v is nil; load one with time.LoadLocation, or give time.UTC", c.Unit)
	case c.Zone == time.Local || c.Zone.String() == "Local":
		return fmt.Errorf("the time zone of each %v is time.Local, another one on each machine; load one by its name with time.LoadLocation", c.Unit)
	case c.Unit == Week && (c.First < time.Sunday || c.First > time.Saturday):
		return fmt.Errorf("a week begins on %v; want a day from time.Sunday to time.Saturday", c.First)
	}
	return nil
}

// String returns the unit and the zone, such as "week from Monday in Europe/Berlin". It identifies the calendar: two
// calendars with the same text have the same windows, if the zones are from the same version of the time zone database.
func (c Calendar) String() string {
	unit := c.Unit.String()
	if c.Unit == Week {
		unit += " from " + c.First.String()
	}
	zone := c.Zone.String()
	// The names of time.FixedZone say nothing.
	at := time.Unix(0, 0).In(c.Zone)
	if start, end := at.ZoneBounds(); start.IsZero() && end.IsZero() {
		if _, offset := at.Zone(); offset != 0 {
			zone += fmt.Sprintf(" (%v)", time.Duration(offset)*time.Second)
		}
	}
	return unit + " in " + zone
}

// Window returns the window that holds the given time (milliseconds), which is not negative. The last window of all
// ends at the end of time.
func (c Calendar) Window(at int64) Window {
	t := time.UnixMilli(at).In(c.Zone)
	date := c.firstDate(t)
	start := c.start(date)
	for {
		next := c.next(date)
		end := c.start(next)
		// If the clocks are set back over midnight, a date is shown again after the next one has begun.
		if at < end || end == math.MaxInt64 {
			return Window{Start: max(0, start), End: end}
		}
		date, start = next, end
	}
}

// firstDate returns the first date, at midnight UTC, of the unit that the clocks show at t.
func (c Calendar) firstDate(t time.Time) time.Time {
	year, month, day := t.Date()
	switch c.Unit {
	case Day:
	case Week:
		day -= (int(t.Weekday()) - int(c.First) + 7) % 7
	case Month:
		day = 1
	case Quarter:
		month, day = (month-1)/3*3+1, 1
	case Year:
		month, day = time.January, 1
	}
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// next returns the first date of the next unit.
func (c Calendar) next(date time.Time) time.Time {
	switch c.Unit {
	case Day:
		return date.AddDate(0, 0, 1)
	case Week:
		return date.AddDate(0, 0, 7)
	case Month:
		return date.AddDate(0, 1, 0)
	case Quarter:
		return date.AddDate(0, 3, 0)
	default:
		return date.AddDate(1, 0, 0)
	}
}

// start returns the first instant (milliseconds) at which the clocks of the zone show the given date, or a later one.
// [time.Date] does not say which instant it returns if there is no midnight, or two.
func (c Calendar) start(date time.Time) int64 {
	const beforeAll = 48 * 60 * 60 // the clocks of no zone are as far ahead of UTC, in seconds
	shown := date.Unix()
	if shown > math.MaxInt64/1000-beforeAll {
		return math.MaxInt64
	}
	for t := time.Unix(shown-beforeAll, 0).In(c.Zone); ; {
		_, offset := t.Zone()
		from, to := t.ZoneBounds()
		if !to.IsZero() && !to.After(t) {
			// For the last days of leap years that the database has rules for, but no list of changes, ZoneBounds
			// returns the bounds of the time before. No change of clocks is there.
			from, to = t, t.Add(15*time.Minute)
		}
		start := shown - int64(offset)
		if !from.IsZero() {
			start = max(start, from.Unix())
		}
		if to.IsZero() || start < to.Unix() {
			return start * 1000
		}
		t = to
	}
}

// CalendarWindows finds the windows of a calendar. It remembers the last ones, since most records are in the same
// windows as the ones before. It belongs to one goroutine.
type CalendarWindows struct {
	calendar Calendar
	recent   [2]Window
	last     int // the index in recent of the window found last
}

// NewCalendarWindows returns what finds the windows of c.
func NewCalendarWindows(c Calendar) *CalendarWindows { return &CalendarWindows{calendar: c} }

// At returns the window that holds the given time, see [Calendar.Window]. It allocates nothing.
func (w *CalendarWindows) At(at int64) Window {
	if r := w.recent[w.last]; r.Start <= at && at < r.End {
		return r
	}
	w.last = 1 - w.last
	r := &w.recent[w.last]
	if at < r.Start || at >= r.End {
		*r = w.calendar.Window(at)
	}
	return *r
}
