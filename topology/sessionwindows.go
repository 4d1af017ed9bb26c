package topology

import (
	"time"

	"github.com/seed84377926/millrace/state"
)

// SessionWindows says how records are put into sessions: [Sessions] makes one, its methods return changed copies. A session is
// a time of activity of one key; it begins with a record and ends with a record, and both ends belong to it. All durations
// are whole numbers of milliseconds.
//
// A session is open, and takes late records, until the stream time of the operator is beyond its end plus gap and grace.
type SessionWindows struct {
	gap, grace, retention time.Duration
	graced                bool // Grace was called
}

// Sessions returns sessions that end when nothing came for longer than gap. A record that comes late may join sessions into
// one.
//
//	Sessions(5*time.Second)
//
//	time     0  2     7     13     17   19 s
//	records  a  b     c     d      e    f
//	         ├────────┤     ├───────────┤     c and d are 6 s apart
//	                     g                    a late record at 10 s joins them into one
//
// A record of a key is in exactly one session, which ends with it if nothing follows within the gap.
func Sessions(gap time.Duration) SessionWindows { return SessionWindows{gap: gap} }

// Grace keeps sessions open for late records until the stream time of the operator is beyond their end plus gap and d.
func (w SessionWindows) Grace(d time.Duration) SessionWindows { w.grace, w.graced = d, true; return w }

// Retention keeps sessions in the store, for queries, until the stream time of the operator is beyond their end plus d. It is at
// least gap and grace together, which is also the default.
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
