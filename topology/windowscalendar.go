package topology

import (
	"time"

	"github.com/seed84377926/millrace/state"
)

// CalendarWindows says how records are put into windows by the calendar of a time zone: each record is in one of them.
// [Days], [Weeks], [Months], [Quarters] and [Years] make one; its methods return changed copies. A window holds the
// records with start <= timestamp < end. It begins at the first instant at which the clocks of the zone show its first
// date, so a day over a change of daylight saving has 23 or 25 hours, and a day without midnight begins with the first
// time that it has. No window starts before the Unix epoch: the first one is cut there.
//
// The caller loads the zone, usually with [time.LoadLocation]. Its name and the unit are part of the identity of the
// topology; its rules are not. All instances, and readers of the keys, need the same version of the time zone database:
// [time.LoadLocationFromTZData] takes the rules from bytes that the program carries. If rules differ, a record near the
// start of a window may be counted in the neighbouring window.
//
// A window is open, and takes late records, until the stream time of the operator reaches its end plus the grace.
type CalendarWindows struct {
	calendar         state.Calendar
	grace, retention time.Duration
	graced           bool // Grace was called
}

// Days returns a window for each date of the zone.
//
//	Days(berlin)                  30 March          31 March             1 April 2024
//	                        ├─── 24 hours ───┼─── 23 hours ───┼─── 24 hours ───┤
func Days(zone *time.Location) CalendarWindows { return calendarWindows(state.Day, 0, zone) }

// Weeks returns a window for each week of the zone, which begins on the given day.
func Weeks(first time.Weekday, zone *time.Location) CalendarWindows {
	return calendarWindows(state.Week, first, zone)
}

// Months returns a window for each month of the zone.
func Months(zone *time.Location) CalendarWindows { return calendarWindows(state.Month, 0, zone) }

// Quarters returns a window for each three months of the zone, from January, April, July and October.
func Quarters(zone *time.Location) CalendarWindows { return calendarWindows(state.Quarter, 0, zone) }

// Years returns a window for each year of the zone.
func Years(zone *time.Location) CalendarWindows { return calendarWindows(state.Year, 0, zone) }

func calendarWindows(unit state.Unit, first time.Weekday, zone *time.Location) CalendarWindows {
	return CalendarWindows{calendar: state.Calendar{Unit: unit, First: first, Zone: zone}}
}

// Grace keeps each window open for late records until the stream time of the operator reaches the end of the window
// plus d.
func (w CalendarWindows) Grace(d time.Duration) CalendarWindows {
	w.grace, w.graced = d, true
	return w
}

// Retention keeps each window in the store, for queries and joins, until the stream time of the operator reaches the
// start of the window plus d, as [TimeWindows.Retention] does. The minimum, which is also the default, is the longest
// window, [state.Unit.Longest], plus the grace.
func (w CalendarWindows) Retention(d time.Duration) CalendarWindows { w.retention = d; return w }

func (w CalendarWindows) validate(n *node) {
	if err := w.calendar.Validate(); err != nil {
		n.graph.errorf(n, "%w", err)
		return
	}
	if whole(n, span{"grace", w.grace}, span{"retention", w.retention}) {
		checkRetention(n, w.retention, w.needed(), "the longest window and the grace together")
	}
}

func (w CalendarWindows) needed() time.Duration { return sum(w.calendar.Unit.Longest(), w.grace) }

func (w CalendarWindows) spec(name string) state.Spec {
	retention := w.retention
	if retention == 0 {
		retention = w.needed()
	}
	return state.Spec{Name: name, Kind: state.WindowKind, Calendar: w.calendar, Retention: retention}
}

func (w CalendarWindows) millis() millis {
	return millis{
		size: w.calendar.Unit.Longest().Milliseconds(), grace: w.grace.Milliseconds(), retention: w.spec("").Retention.Milliseconds(),
	}
}
