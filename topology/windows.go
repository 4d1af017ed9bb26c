package topology

import (
	"time"

	"github.com/seed84377926/millrace/state"
)

// TimeWindows says how records are put into windows of equal size: [Tumbling] makes one, its methods return changed
// copies. A window holds the records with start <= timestamp < end; windows are aligned to the Unix epoch. All durations
// are whole numbers of milliseconds.
type TimeWindows struct{ size, advance, grace, retention time.Duration }

// Tumbling returns windows of the given size, one after the other. A window closes as soon as stream time reaches its
// end, unless it gets a [TimeWindows.Grace].
//
//	time    0 ────────── size ──────── 2·size
//	        |---- w1 ----|---- w2 -----|
//	                     |··grace··|          late records of w1 are still accepted
func Tumbling(size time.Duration) TimeWindows { return TimeWindows{size: size, advance: size} }

// Grace keeps windows open for late records until the stream time of the operator reaches their end plus d.
func (w TimeWindows) Grace(d time.Duration) TimeWindows { w.grace = d; return w }

// Retention keeps windows in the store, for queries, until the stream time of the operator reaches their start plus d. It
// is at least size and grace together, which is also the default.
func (w TimeWindows) Retention(d time.Duration) TimeWindows { w.retention = d; return w }

// validate remembers what is wrong with w in the call that made n.
func (w TimeWindows) validate(n *node) {
	fail := n.builder.errorf
	if w.size <= 0 {
		fail(n, "the window size is %v; want more than 0", w.size)
		return
	}
	if w.grace < 0 {
		fail(n, "the grace of %v is negative", w.grace)
		return
	}
	if w.retention != 0 && w.retention < w.size+w.grace {
		fail(n, "the retention of %v is shorter than window size and grace together, %v: windows would be lost while they are open",
			w.retention, w.size+w.grace)
	}
	for _, d := range []struct {
		what string
		time.Duration
	}{{"window size", w.size}, {"grace", w.grace}, {"retention", w.retention}} {
		if d.Duration%time.Millisecond != 0 {
			fail(n, "the %s of %v is not a whole number of milliseconds", d.what, d.Duration)
		}
	}
}

// spec describes the store of the windows.
func (w TimeWindows) spec(name string) state.Spec {
	retention := w.retention
	if retention == 0 {
		retention = w.size + w.grace
	}
	return state.Spec{Name: name, Kind: state.WindowKind, WindowSize: w.size, Retention: retention}
}

// millis is TimeWindows in the unit of timestamps.
type millis struct{ size, advance, grace, retention int64 }

func (w TimeWindows) millis() millis {
	return millis{
		size: w.size.Milliseconds(), advance: w.advance.Milliseconds(), grace: w.grace.Milliseconds(),
		retention: w.spec("").Retention.Milliseconds(),
	}
}

// first returns the start of the first window that holds timestamp; the others start at multiples of advance up to
// timestamp. No window starts before the epoch.
func (w millis) first(timestamp int64) int64 {
	return max(0, timestamp-w.size+w.advance) / w.advance * w.advance
}

// closed reports whether a window that ends at end takes no more records at stream time now.
func (w millis) closed(end, now int64) bool { return end <= now-w.grace }

// expired returns up to which end windows need not be kept at stream time now.
func (w millis) expired(now int64) int64 { return now - w.retention + w.size }
