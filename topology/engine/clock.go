package engine

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// Clock returns the stream time of an operator. name is the name of its store, which is unique and stays the same when
// other operators come and go; further times of the operator that are kept have "/" and a word after it. The
// sub-topology must have the store of [TimesSpec].
func (h *Host) Clock(name string, hooks ClockHooks) *Clock {
	c := &Clock{KeptTime: unknown(name), ClockHooks: hooks}
	if h.readTime(&c.KeptTime) {
		h.times.clocks = append(h.times.clocks, c)
	}
	return c
}

// StoredTime returns a time that a node keeps and that is not the stream time of an operator. The name is as for Clock.
func (h *Host) StoredTime(name string) *KeptTime {
	k := unknown(name)
	if h.readTime(&k) {
		h.times.others = append(h.times.others, &k)
	}
	return &k
}

// VolatileTime returns a time of the wall clock that is committed and rolled back with the task, but not stored: it
// begins again when the task does. When the wall clock is set back, the time goes back by as much.
func (h *Host) VolatileTime(now int64) *KeptTime {
	k := new(KeptTime)
	k.Set(now)
	h.volatileTimes = append(h.volatileTimes, k)
	return k
}

// readTime sets k to what is stored under its name, and reports whether that could be read.
func (h *Host) readTime(k *KeptTime) bool {
	if h.times == nil {
		rows, err := state.NewKeyValue(TimesStore, h.cfg.State, h.cfg.Budget, codecs.String, codecs.Int64)
		if err != nil {
			h.Fail(err)
			return false
		}
		h.times = &times{rows: rows}
		h.AddStore(rows)
	}
	now, _, ok, err := h.times.rows.Get(k.name)
	if err != nil {
		h.Fail(fmt.Errorf("stream time of %q: %w", k.name, err))
		return false
	}
	if ok {
		k.Set(now)
	}
	return true
}
