package topology

import (
	"time"

	"github.com/seed84377926/millrace/state"
)

// SlidingWindows says how records are put into windows that records make: any records that are at most so far apart are together in
// some window. [Sliding] makes one, its methods return changed copies. Unlike those of [TimeWindows], both ends of a
// window belong to it: it holds the records with start <= timestamp <= end. All durations are whole numbers of milliseconds.
//
// A window is open, and takes late records, until the stream time of the operator is beyond its end plus the grace. A record is
// dropped if the last window that may hold it is not open any more.
type SlidingWindows struct {
	difference, grace, retention time.Duration
	graced                       bool // Grace was called
}

// Sliding returns a window for each combination of records that are at most difference apart (KIP-450). Each record at t makes a
// window that ends with it, [t-difference, t], and one that starts just behind it, [t+1ms, t+1ms+difference], as soon as
// there is a record for that. Windows do not start before the Unix epoch: all records before difference share the window
// [0, difference].
//
//	Sliding(5*time.Second)
//
//	time        10   12      16 s
//	records     a    b       c
//	        ├───a┤   │       │       ends with a
//	           ├a────b┤      │       ends with b
//	             ├───b───┤   │       behind a
//	                ├b───────c┤      ends with c: 11 to 16 s
//	                  ├──────c──┤    behind b
//
// The results for one key are then a, ab, b, bc and c, each of its window.
func Sliding(difference time.Duration) SlidingWindows { return SlidingWindows{difference: difference} }

// Grace keeps windows open for late records until the stream time of the operator is beyond their end plus d.
func (w SlidingWindows) Grace(d time.Duration) SlidingWindows { w.grace, w.graced = d, true; return w }

// Retention keeps windows in the store, for queries, until the stream time of the operator is beyond their end plus d. It is
// at least twice the time difference and the grace together, which is also the default: windows that are closed are needed to
// make new ones of.
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
