package topology

import (
	"time"

	"github.com/seed84377926/millrace/topology/engine"
)

// keeping says how long the rows of a windowed aggregate are found. If every update is forwarded, the retention counts
// from the start or the end of a window, by its kind. If results come out when windows close, it counts from there: a
// result that another table is joined with must not be gone when it comes out (docs/semantics.md, Expired rows).
type keeping struct {
	info      *storeInfo
	retention int64 // milliseconds
	wait      int64 // milliseconds from where the retention counts otherwise to where a window closes
	final     bool  // it counts from where a window closes
}

// fromClose makes the retention count from where windows close.
func (k *keeping) fromClose() {
	if k == nil || k.final {
		return
	}
	k.final = true
	k.info.spec.Retention = sum(k.info.spec.Retention, time.Duration(k.wait)*time.Millisecond)
}

// lateness is the stream time by which the rows of an aggregate are found or gone, in a task.
type lateness struct {
	*keeping
	// When stream time jumps by more than the retention, the windows that close have closed too long ago already. Until
	// a retention after the jump, rows are found as they were before it. Both are nil unless final.
	before, until *engine.KeptTime
}

func (k *keeping) open(h *engine.Host) lateness {
	l := lateness{keeping: k}
	if k.final {
		name := k.info.spec.Name
		l.before, l.until = h.StoredTime(name+"/before-jump"), h.StoredTime(name+"/kept-until")
	}
	return l
}

// at returns the time by which rows are found or gone at stream time now.
func (l *lateness) at(now int64) int64 {
	switch {
	case !l.final:
		return now
	case now < l.until.Now:
		now = l.before.Now
	}
	return now - l.wait
}

// moved says that a record has moved stream time.
func (l *lateness) moved(before, now int64) {
	if l.final && before != engine.UnknownTime && now-before > l.retention {
		l.before.Advance(before)
		l.until.Advance(now + l.retention)
	}
}
