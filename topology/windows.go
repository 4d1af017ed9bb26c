package topology

import (
	"math"
	"time"

	"github.com/seed84377926/millrace/state"
)

// Windows says how records are put into windows: [TimeWindows], [CalendarWindows] or [SlidingWindows]. [SessionWindows]
// have a method of their own, [GroupedStream.WindowedBySessions].
type Windows interface {
	// validate remembers what is wrong in the call that made n.
	validate(n *node)
	// spec describes the store of the windows.
	spec(name string) state.Spec
}

// TimeWindows says how records are put into windows of equal size at fixed places. [Tumbling] and [Hopping] make one;
// its methods return changed copies. A window holds the records with start <= timestamp < end. Windows start at
// multiples of their advance since the Unix epoch, and none starts before the epoch. All durations are whole numbers of
// milliseconds.
//
// A window is open, and takes late records, until the stream time of the operator reaches its end plus the grace.
type TimeWindows struct {
	size, advance, grace, retention time.Duration
	graced                          bool // Grace was called
}

// Tumbling returns windows of the given size, one after the other: each record is in one of them.
//
//	time    0 ────────── size ──────── 2·size
//	        ├──── w1 ────┼──── w2 ─────┤
//	                     │··grace··│          late records of w1 are still accepted
func Tumbling(size time.Duration) TimeWindows { return TimeWindows{size: size, advance: size} }

// Hopping returns windows of the given size, one of which starts every advance. The advance is at most the size.
// Windows overlap: each record is in size/advance of them. If the advance equals the size, the windows are those of
// [Tumbling].
//
//	Hopping(10*time.Second, 5*time.Second)
//
//	time    0    5    10   15   20 s
//	        ├─── w1 ──┤
//	             ├─── w2 ──┤
//	                  ├─── w3 ──┤
//	                │                 a record at 8 s is in w1 and in w2
func Hopping(size, advance time.Duration) TimeWindows {
	return TimeWindows{size: size, advance: advance}
}

// Grace keeps each window open for late records until the stream time of the operator reaches the end of the window
// plus d.
func (w TimeWindows) Grace(d time.Duration) TimeWindows { w.grace, w.graced = d, true; return w }

// Retention keeps each window in the store, for queries and joins, until the stream time of the operator reaches the
// start of the window plus d. The minimum, which is also the default, is the size plus the grace.
//
// If results come out when windows close, by [TimeWindowedStream.EmitOnClose] or [UntilWindowCloses], d counts from
// there: each result can be looked up for d after its window has closed.
func (w TimeWindows) Retention(d time.Duration) TimeWindows { w.retention = d; return w }

func (w TimeWindows) validate(n *node) {
	ok := positive(n, span{"window size", w.size})
	if !ok {
		return
	}
	if ok = w.advance > 0 && w.advance <= w.size; !ok {
		n.graph.errorf(n, "the advance is %v; want more than 0 and at most the window size, %v", w.advance, w.size)
	}
	spans := []span{{"window size", w.size}, {"grace", w.grace}, {"retention", w.retention}}
	if ok && w.advance != w.size {
		spans = append(spans, span{"advance", w.advance})
	}
	if whole(n, spans...) {
		checkRetention(n, w.retention, sum(w.size, w.grace), "window size and grace together")
	}
}

func (w TimeWindows) spec(name string) state.Spec {
	retention := w.retention
	if retention == 0 {
		retention = sum(w.size, w.grace)
	}
	return state.Spec{Name: name, Kind: state.WindowKind, WindowSize: w.size, Retention: retention}
}

func (w TimeWindows) millis() millis {
	return millis{
		size: w.size.Milliseconds(), advance: w.advance.Milliseconds(), grace: w.grace.Milliseconds(),
		retention: w.spec("").Retention.Milliseconds(),
	}
}

// span is a duration that the user gave.
type span struct {
	what string
	time.Duration
}

// positive reports whether a duration is above 0, and records a mistake if it is not.
func positive(n *node, s span) bool {
	if s.Duration <= 0 {
		n.graph.errorf(n, "the %s is %v; want more than 0", s.what, s.Duration)
	}
	return s.Duration > 0
}

// whole reports whether durations are whole numbers of milliseconds and not negative, and records a mistake for each
// that is not.
func whole(n *node, spans ...span) bool {
	ok := true
	for _, s := range spans {
		switch {
		case s.Duration < 0:
			n.graph.errorf(n, "the %s of %v is negative", s.what, s.Duration)
			ok = false
		case s.Duration%time.Millisecond != 0:
			n.graph.errorf(n, "the %s of %v is not a whole number of milliseconds", s.what, s.Duration)
			ok = false
		}
	}
	return ok
}

// checkRetention records a mistake if a retention is too short, or if the needed time exceeds the range of a duration.
func checkRetention(n *node, retention, needed time.Duration, what string) {
	switch {
	case needed == math.MaxInt64:
		n.graph.errorf(n, "%s are more than %v, the longest duration there is", what, needed)
	case retention != 0 && retention < needed:
		n.graph.errorf(n, "the retention of %v is shorter than %s, %v: windows would be lost while they are open",
			retention, what, needed)
	}
}

// sum returns the sum of durations that are not negative, or the longest duration if the sum exceeds it.
func sum(durations ...time.Duration) (total time.Duration) {
	for _, d := range durations {
		if total += d; total < 0 {
			return math.MaxInt64
		}
	}
	return total
}

// SlidingWindows says how records are put into windows that the records make: any records that are at most a time
// difference apart are together in some window. [Sliding] makes one; its methods return changed copies. Unlike with
// [TimeWindows], both ends of a window belong to it: it holds the records with start <= timestamp <= end. All durations
// are whole numbers of milliseconds.
//
// A window is open, and takes late records, until the stream time of the operator exceeds its end plus the grace. A
// record is dropped if the last window that may hold it is no longer open.
type SlidingWindows struct {
	difference, grace, retention time.Duration
	graced                       bool // Grace was called
}

// Sliding returns a window for each combination of records that are at most difference apart (KIP-450). Each record at
// t makes a window that ends with it, [t-difference, t], and a window that starts directly after it, [t+1ms,
// t+1ms+difference], as soon as this window has a record. Windows do not start before the Unix epoch: all records
// before difference share the window [0, difference].
//
//	Sliding(5*time.Second)
//
//	time        10   12      16 s
//	records     a    b       c
//	        ├───a┤   │       │       ends with a
//	           ├a────b┤      │       ends with b
//	             ├───b───┤   │       after a
//	                ├b───────c┤      ends with c: 11 to 16 s
//	                  ├──────c──┤    after b
//
// The results for one key are then a, ab, b, bc and c, each with its window.
func Sliding(difference time.Duration) SlidingWindows { return SlidingWindows{difference: difference} }

// Grace keeps each window open for late records until the stream time of the operator exceeds the end of the window
// plus d.
func (w SlidingWindows) Grace(d time.Duration) SlidingWindows { w.grace, w.graced = d, true; return w }

// Retention keeps each window in the store, for queries and joins, until the stream time of the operator exceeds the
// end of the window plus d. The minimum, which is also the default, is twice the time difference plus the grace: new
// windows are made from closed ones. If results come out when windows close, d counts from there, see
// [TimeWindows.Retention].
func (w SlidingWindows) Retention(d time.Duration) SlidingWindows { w.retention = d; return w }

func (w SlidingWindows) validate(n *node) {
	difference := span{"time difference", w.difference}
	if positive(n, difference) && whole(n, difference, span{"grace", w.grace}, span{"retention", w.retention}) {
		checkRetention(n, w.retention, w.needed(), "twice the time difference and the grace together")
	}
}

func (w SlidingWindows) needed() time.Duration { return sum(w.difference, w.difference, w.grace) }

func (w SlidingWindows) spec(name string) state.Spec {
	retention := w.retention
	if retention == 0 {
		retention = w.needed()
	}
	return state.Spec{Name: name, Kind: state.WindowKind, WindowSize: w.difference, Retention: retention}
}

// SessionWindows says how records are put into sessions. [Sessions] makes one; its methods return changed copies. A
// session is a time of activity of one key: it begins with a record and ends with a record, and both ends belong to it.
// All durations are whole numbers of milliseconds.
//
// A session is open, and takes late records, until the stream time of the operator exceeds its end plus gap and grace.
type SessionWindows struct {
	gap, grace, retention time.Duration
	graced                bool // Grace was called
}

// Sessions returns sessions that end when no record comes for longer than gap. A late record may join two sessions into
// one.
//
//	Sessions(5*time.Second)
//
//	time     0  2     7     13     17   19 s
//	records  a  b     c     d      e    f
//	         ├────────┤     ├───────────┤     c and d are 6 s apart
//	                     g                    a late record at 10 s joins them into one
//
// A record of a key is in exactly one session. The session ends with the record if no other follows within the gap.
func Sessions(gap time.Duration) SessionWindows { return SessionWindows{gap: gap} }

// Grace keeps each session open for late records until the stream time of the operator exceeds the end of the session
// plus gap and d.
func (w SessionWindows) Grace(d time.Duration) SessionWindows { w.grace, w.graced = d, true; return w }

// Retention keeps each session in the store, for queries and joins, until the stream time of the operator exceeds the
// end of the session plus d. The minimum, which is also the default, is the gap plus the grace. If results come out
// when sessions close, d counts from there, see [TimeWindows.Retention].
func (w SessionWindows) Retention(d time.Duration) SessionWindows { w.retention = d; return w }

func (w SessionWindows) validate(n *node) {
	gap := span{"gap", w.gap}
	if positive(n, gap) && whole(n, gap, span{"grace", w.grace}, span{"retention", w.retention}) {
		checkRetention(n, w.retention, sum(w.gap, w.grace), "gap and grace together")
	}
}

func (w SessionWindows) spec(name string) state.Spec {
	retention := w.retention
	if retention == 0 {
		retention = sum(w.gap, w.grace)
	}
	return state.Spec{Name: name, Kind: state.SessionKind, Retention: retention}
}
