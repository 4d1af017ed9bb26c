package engine

import "slices"

// idleClock advances the stream time of one operator while its task is idle.
type idleClock struct {
	host  *Host
	clock *Clock
	after int64
	reach int64 // how far time must go on for all that is held to come out

	pause int64 // number of the pause that the fields below are about
	seen  int64 // stream time: another one comes from a record
	last  int64 // wall-clock time that the clock has followed to
	gone  int64 // how far it has gone on in this pause
}

// advanceWhenIdle makes the operators' clocks follow the wall clock in pauses.
func (h *Host) advanceWhenIdle(after int64) {
	h.pause.end(h.wallClock)
	if h.times == nil {
		return
	}
	var reach int64
	for _, c := range h.times.clocks {
		reach += c.Reach
	}
	// Operators downstream are wired before those upstream, whose results they may hold in turn.
	for _, c := range slices.Backward(h.times.clocks) {
		if c.Node != nil {
			idle := &idleClock{host: h, clock: c, after: after, reach: reach}
			h.AddWallClockAlarm(&Alarm{Node: c.Node, Number: 1, Due: idle.due, Ring: idle.ring})
		}
	}
}

func (c *idleClock) due() (at int64, ok bool) {
	if c.pause != c.host.pause.number {
		c.pause, c.last, c.gone, c.seen = c.host.pause.number, c.host.pause.since, 0, c.clock.Now
	}
	if c.seen != c.clock.Now { // an operator upstream has forwarded something in the pause
		c.last, c.seen = c.host.wallClock, c.clock.Now
	}
	return c.last + c.after, c.clock.Now != UnknownTime && c.gone <= c.reach
}

func (c *idleClock) ring(now int64) error {
	elapsed := now - c.last
	c.last, c.gone = now, c.gone+elapsed
	c.clock.Advance(c.clock.Now + elapsed)
	c.seen = c.clock.Now
	if c.clock.Emit == nil {
		return nil // it only decides what is late
	}
	return c.clock.Emit(c.clock.Now)
}
