package engine

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// Clock returns the stream time of n, an operator. name is the name of its store, which is unique and stays the same
// when other operators come and go; further times of the operator that are kept have "/" and a word after it. The
// sub-topology must have the store of [TimesSpec].
func (h *Host) Clock(n Node, name string, hooks ClockHooks) *Clock {
	c := &Clock{KeptTime: unknown(name), ClockHooks: hooks, node: n}
	if of := h.originsOf(n); len(of) > 1 {
		c.mark = newWatermark(&h.origins, of)
	}
	row, ok := h.readTime(&c.KeptTime)
	if !ok {
		return c
	}
	c.last = row.largest
	if c.mark != nil {
		c.mark.largest.Set(row.largest)
	}
	h.times.clocks = append(h.times.clocks, c)
	return c
}

// originsOf returns the origins whose records lead to the records of n.
func (h *Host) originsOf(n Node) []int {
	if !h.origins.several() {
		return nil
	}
	if h.reaching == nil {
		return h.origins.of(h.inputs())
	}
	return h.origins.of(h.reaching(n))
}

// inputs returns the indexes of all inputs.
func (h *Host) inputs() []int {
	all := make([]int, len(h.topics))
	for i := range all {
		all[i] = i
	}
	return all
}

// StoredTime returns a time that a node keeps and that is not the stream time of an operator. The name is as for Clock.
func (h *Host) StoredTime(name string) *KeptTime {
	k := unknown(name)
	if _, ok := h.readTime(&k); ok {
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

// readTime sets k to what is stored under its name, and returns the row. It reports whether that could be read.
func (h *Host) readTime(k *KeptTime) (storedTime, bool) {
	if h.times == nil {
		rows, err := state.NewKeyValue(TimesStore, h.cfg.State, h.cfg.Budget, codecs.String, timeCodec{})
		if err != nil {
			h.Fail(err)
			return storedTime{}, false
		}
		h.times = &times{rows: rows}
		h.AddStore(rows)
	}
	row, _, ok, err := h.times.rows.Get(k.name)
	if err != nil {
		h.Fail(fmt.Errorf("stream time of %q: %w", k.name, err))
		return storedTime{}, false
	}
	if !ok {
		return storedTime{now: UnknownTime, largest: UnknownTime}, true
	}
	k.Set(row.now)
	return row, true
}
