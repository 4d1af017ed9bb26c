package state

import (
	"math"
	"time"
)

// Window is a span of event time: the milliseconds t with Start <= t < End.
type Window struct{ Start, End int64 }

// StartTime returns the first instant of the window, in UTC.
func (w Window) StartTime() time.Time { return time.UnixMilli(w.Start).UTC() }

// EndTime returns the first instant after the window, in UTC.
func (w Window) EndTime() time.Time { return time.UnixMilli(w.End).UTC() }

// String returns the window as an ISO 8601 interval: start, slash, end.
func (w Window) String() string {
	return w.StartTime().Format(time.RFC3339Nano) + "/" + w.EndTime().Format(time.RFC3339Nano)
}

// windowOf returns the window of the given start and size, both in milliseconds. A window at the end of time is cut
// short rather than wrapped around.
func windowOf(start, size int64) Window {
	end := start + size
	if end < start {
		end = math.MaxInt64
	}
	return Window{Start: start, End: end}
}
