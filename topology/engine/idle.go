package engine

import "slices"

// pause is the current pause of a task's input.
type pause struct {
	number int64 // records end one and begin another
	passed int64 // how long the owner has seen the input idle in this pause, milliseconds
}

// end says that the input goes on.
func (p *pause) end() {
	p.number++
	p.passed = 0
}

// idleClock advances the stream time of one operator while its task is idle. Its times are those of the pause.
type idleClock struct {
	host  *Host
	clock *Clock
	after int64
	reach int64 // how far time must go on for all that is held to come out

	pause int64 // number of the pause that the fields below are about
	seen  int64 // stream time: another one comes from a record
	last  int64 // time of the pause that the clock has followed to
	gone  int64 // how far it has gone on in this pause
}

// advanceWhenIdle makes the operators' clocks follow the idle time that the owner tells.
func (h *Host) advanceWhenIdle(after int64) {
	h.pause.end()
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
			h.idleAlarms = append(h.idleAlarms, &Alarm{Node: c.Node, Number: 1, Due: idle.due, Ring: idle.ring})
		}
	}
}

func (c *idleClock) due() (at int64, ok bool) {
	p := &c.host.pause
	if c.pause != p.number {
		c.pause, c.last, c.gone, c.seen = p.number, 0, 0, c.clock.Now
	}
	if c.seen != c.clock.Now { // an operator upstream has forwarded something in the pause
		c.last, c.seen = p.passed, c.clock.Now
	}
	return c.last + c.after, c.clock.Now != UnknownTime && c.gone <= c.reach && !c.clock.held()
}

func (c *idleClock) ring(passed int64) error {
	elapsed := passed - c.last
	c.last, c.gone = passed, c.gone+elapsed
	c.clock.follow(c.clock.Now + elapsed)
	c.seen = c.clock.Now
	if c.clock.Emit == nil {
		return nil // it only decides what is late
	}
	return c.clock.Emit(c.clock.Now)
}
