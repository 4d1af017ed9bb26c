package topology

import (
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// millis are the places of [TimeWindows] and [CalendarWindows] in the unit of timestamps.
type millis struct {
	size, advance, grace, retention int64
	// calendar is nil unless the windows are those of a calendar. Then size is a bound of their lengths, and advance is
	// not used.
	calendar *calendarPlaces
}

// calendarPlaces finds windows by the calendar. Each field is for times of its own, which go on together, so that it
// remembers the windows of these times.
type calendarPlaces struct{ records, closed, kept, latest *state.CalendarWindows }

func newCalendarPlaces(c state.Calendar) *calendarPlaces {
	return &calendarPlaces{
		state.NewCalendarWindows(c), state.NewCalendarWindows(c), state.NewCalendarWindows(c), state.NewCalendarWindows(c),
	}
}

// inTask returns the places for one task, which belong to its goroutine.
func (w millis) inTask(spec state.Spec) millis {
	if spec.Calendar != (state.Calendar{}) {
		w.calendar = newCalendarPlaces(spec.Calendar)
	}
	return w
}

// first returns the first window that holds timestamp. The others are those after it that start at timestamp at the
// latest. No window starts before the epoch.
func (w millis) first(timestamp int64) state.Window {
	if w.calendar != nil {
		return w.calendar.records.At(timestamp)
	}
	start := max(0, timestamp-w.size+w.advance) / w.advance * w.advance
	return state.Window{Start: start, End: start + w.size}
}

// after returns the next window. Its start is negative if there is none that may hold a record of window.
func (w millis) after(window state.Window) state.Window {
	if w.calendar != nil {
		return state.Window{Start: -1}
	}
	return state.Window{Start: window.Start + w.advance, End: window.End + w.advance}
}

// closed reports whether a window that ends at end takes no more records at stream time now.
func (w millis) closed(end, now int64) bool { return end <= now-w.grace }

// last returns the start of the last window at stream time now.
func (w millis) last(now int64) int64 {
	if w.calendar != nil {
		return w.calendar.latest.At(max(0, now)).Start
	}
	return now / w.advance * w.advance
}

// gone returns the end up to which windows are no longer kept at stream time now. If several streams flow into the
// windows, it depends on the start of the last window, as in Kafka Streams. This matters for a stream that lags far
// behind the others.
func (w millis) gone(now int64, streams int) int64 {
	if streams > 1 {
		now = w.last(now)
	}
	start := now - w.retention
	switch {
	case w.calendar == nil:
		return start + w.size
	case start < 0:
		return engine.UnknownTime
	default:
		return w.calendar.kept.At(start).End
	}
}

// lastClosed returns the end of the last window that is closed at stream time now, -1 if there is none.
func (w millis) lastClosed(now int64) int64 {
	if w.calendar != nil {
		if at := now - w.grace; at >= 0 {
			if end := w.calendar.closed.At(at).Start; end > 0 {
				return end
			}
		}
		return engine.UnknownTime
	}
	if start := now - w.grace - w.size; start >= 0 {
		return start/w.advance*w.advance + w.size
	}
	return engine.UnknownTime
}
