package engine

import "slices"

// StreamTime returns the stream time of the task, in milliseconds, -1 if there is none. See [Host.StreamTime].
func (t *Task) StreamTime() int64 { return t.host.streamTime.Now }

// SetStreamTime sets the stream time that a restored task goes on from, the largest timestamp that it has read, and how
// far its origins have come. Origins that the task does not have are passed over.
func (t *Task) SetStreamTime(timestamp, largest int64, progress []Progress) {
	h := &t.host
	for _, p := range progress {
		if i := h.origins.find(p.Origin); i >= 0 {
			h.origins.all[i] = p
		}
	}
	h.origins.begin()
	h.streamTime.Set(timestamp)
	if w := h.streamTime.mark; w != nil {
		w.largest.Set(max(timestamp, largest))
	}
}

// LargestTime returns the largest timestamp that the task has read, in milliseconds, -1 if there is none.
func (t *Task) LargestTime() int64 {
	if w := t.host.streamTime.mark; w != nil {
		return w.largest.Now
	}
	return t.host.streamTime.Now
}

// AdvanceStreamTime says that a record with the timestamp was read.
func (h *Host) AdvanceStreamTime(timestamp int64) {
	if o := h.origins.now; o >= 0 {
		p := &h.origins.all[o]
		if timestamp > p.Seen {
			p.Seen = timestamp
			h.origins.update(o, h.deferred)
		}
	}
	h.streamTime.Advance(timestamp)
}

// Progress appends how far each origin of the task's records has come to dst, in an order that stays the same.
func (t *Task) Progress(dst []Progress) []Progress { return append(dst, t.host.origins.all...) }

// Watermark returns how far the given inputs have come together: the minimum over their origins, [IdleTime] if they
// have nothing to read. Everything that the task reads from them later is later, or was out of order where it came
// from.
func (t *Task) Watermark(inputs func(topic string) bool) int64 {
	h := &t.host
	low := int64(IdleTime)
	for i, topic := range h.topics {
		if !inputs(topic) {
			continue
		}
		first, n := h.origins.span(i)
		for _, p := range h.origins.all[first : first+n] {
			low = min(low, p.Time())
		}
	}
	return low
}

// TimeFor returns how far the task has come for those that read an output, [IdleTime] if it has nothing to read:
// feeding says which inputs lead there. What operators hold back comes out with older timestamps, so the time is less
// by that.
func (t *Task) TimeFor(output string, feeding func(topic string) bool) int64 {
	h := &t.host
	at := t.Watermark(feeding)
	if at == IdleTime {
		return at
	}
	come := at
	for _, b := range h.behind[output] {
		at = min(at, come-b.By)
		if h.times == nil {
			continue
		}
		for _, c := range h.times.clocks {
			// A record that has reached the operator may still be held until time has passed it by that.
			if c.node == b.Node && c.Emit != nil && c.Now != UnknownTime && c.Now < c.last+b.By {
				at = min(at, c.Now-b.By)
			}
		}
	}
	return max(UnknownTime, at)
}

// Tell says how far an origin has come: its stream time, or [IdleTime] if it has nothing to read, which it may take
// back. The task does what has become due. It belongs to the open transaction, and an error calls for a rollback, as
// one of AdvanceWallClock. An origin that the task does not have is passed over.
func (t *Task) Tell(origin Origin, time int64) error {
	h := &t.host
	if h.broken != nil {
		return h.broken
	}
	if err := h.prepareRest(); err != nil {
		return err
	}
	i := h.origins.find(origin)
	if i < 0 {
		return nil
	}
	p := &h.origins.all[i]
	if time == IdleTime || p.Told == IdleTime {
		p.Told = time
	} else {
		p.Told = max(p.Told, time)
	}
	h.origins.update(i, h.deferred)
	return h.advanceTime()
}

// advanceTime advances the clocks and the stream time of the task after an origin has come further, and does what has
// become due.
func (h *Host) advanceTime() error {
	if err := h.advanceClocks(); err != nil {
		return err
	}
	w := h.streamTime.mark
	if w == nil {
		return nil
	}
	before := h.streamTime.Now
	h.streamTime.Now = w.advance(before)
	if h.streamTime.Now == before || len(h.streamTimeAlarms) == 0 {
		return nil
	}
	return h.ring(h.streamTimeAlarms, h.streamTime.Now)
}

// advanceClocks advances the clocks that an origin has held back, upstream first: an operator downstream may hold what
// another one forwards.
func (h *Host) advanceClocks() error {
	if h.times == nil {
		return nil
	}
	for _, c := range slices.Backward(h.times.clocks) {
		if c.mark == nil {
			continue
		}
		now := c.mark.advance(c.Now)
		if now == c.Now {
			continue
		}
		before := c.Now
		c.Now = now
		if c.Advanced != nil {
			c.Advanced(before, now)
		}
		if c.Emit == nil {
			continue
		}
		emit := func(now int64) error {
			if h.PassOver() {
				return nil
			}
			return c.Emit(now)
		}
		if err := h.ringOne(&Alarm{Node: c.node, Number: 1, Ring: emit}, now, now); err != nil {
			return err
		}
	}
	return nil
}

// Held is a clock that an origin holds back.
type Held struct {
	// Node is the operator, "" for the task's own stream time.
	Node string
	// Now is the time of the clock, Largest the largest timestamp that has reached the operator.
	Now, Largest int64
	// By is the origin that has not come further.
	By Progress
}

// Held appends the clocks that an origin holds back to dst.
func (t *Task) Held(dst []Held) []Held {
	h := &t.host
	add := func(name string, c *Clock) {
		if w := c.mark; c.held() {
			dst = append(dst, Held{Node: name, Now: c.Now, Largest: w.largest.Now, By: w.origins.all[w.slowest()]})
		}
	}
	add("", &h.streamTime)
	if h.times != nil {
		for _, c := range slices.Backward(h.times.clocks) {
			add(c.node.Name(), c)
		}
	}
	return dst
}

// Holding reports whether operators hold records back until the commit: what they release then is older than what
// Watermark says.
func (t *Task) Holding() bool {
	for _, p := range t.host.holders {
		if p.HeldBytes() > 0 {
			return true
		}
	}
	return false
}
