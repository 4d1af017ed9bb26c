package state

import "math"

// horizon is a time that only moves forward, with one exception: a rollback of its store restores it, because reads
// must not depend on an aborted transaction.
type horizon struct {
	now, flushed, committed int64
}

func newHorizon() horizon {
	return horizon{now: math.MinInt64, flushed: math.MinInt64, committed: math.MinInt64}
}

func (h *horizon) raise(to int64) { h.now = max(h.now, to) }
func (h *horizon) flush()         { h.flushed = h.now }
func (h *horizon) commit()        { h.committed = h.flushed }
func (h *horizon) rollback()      { h.now, h.flushed = h.committed, h.committed }

// minus returns the time d milliseconds before t, or the beginning of time if that is later.
func minus(t, d int64) int64 {
	if t < math.MinInt64+d {
		return math.MinInt64
	}
	return t - d
}

// nextTime returns the millisecond after time. For the end of time it returns the end of time.
func nextTime(time int64) int64 {
	if time == math.MaxInt64 {
		return time
	}
	return time + 1
}
