package topology

import (
	"fmt"
	"slices"
	"time"
)

// AdvanceWhenIdle lets time go on when input does not. Operators that wait for stream time (suppress, results on close,
// unmatched results of joins, joins with grace, rows that expire) hear of time from records only: when the input pauses, what
// they hold stays. With this option, a task that has had no record for the given time advances the stream times of its
// operators as the wall clock goes on, from where they were at the last record:
//
//	wall clock    0 s      10 s     20 s     30 s        AdvanceWhenIdle(10 * time.Second)
//	records       12:00:00
//	stream time   12:00:00 │        12:00:20 12:00:30    at 10 s: 12:00:10
//
// It looks every so often, each time as much later, until everything that was held can have come out; then an idle application
// is silent again. A record that comes after the pause with a timestamp from before it may find its window closed: the
// option trades late records for results. It is off by default, as time in Kafka Streams depends on records alone. Whole
// milliseconds, more than 0.
//
// Stream-time punctuations and [Task.StreamTime] are about records and do not go on.
func AdvanceWhenIdle(after time.Duration) BuilderOption { return idleOption(after) }

type idleOption time.Duration

func (o idleOption) applyBuilder(b *Builder) error {
	d := time.Duration(o)
	if d <= 0 || d%time.Millisecond != 0 {
		return fmt.Errorf("AdvanceWhenIdle: %v; want a positive number of whole milliseconds", d)
	}
	b.idle = d.Milliseconds()
	return nil
}

// pause is what a task knows of the pause of its input.
type pause struct {
	number int64 // of the pause: records end one and begin another
	since  int64 // wall-clock time of the last record, as far as the task knows it
}

// end says that the input goes on at the given wall-clock time.
func (p *pause) end(now int64) {
	p.number++
	p.since = now
}

// idleClock advances the stream time of one operator while its task is idle.
type idleClock struct {
	t     *Task
	clock *operatorClock
	after int64
	reach int64 // how far time need go on for all that is held to come out

	pause int64 // number of the pause that the rest is about
	seen  int64 // stream time: another one comes from a record
	last  int64 // wall-clock time that the clock has followed to
	gone  int64 // how far it has gone on in this pause
}

// advanceWhenIdle has the operators' clocks follow the wall clock in pauses.
func (t *Task) advanceWhenIdle(after int64) {
	t.pause.end(t.wall)
	if t.times == nil {
		return
	}
	var reach int64
	for _, c := range t.times.clocks {
		reach += c.reach
	}
	// Operators below are wired before those above, whose results they may hold in turn.
	for _, c := range slices.Backward(t.times.clocks) {
		if c.node != nil {
			idle := &idleClock{t: t, clock: c, after: after, reach: reach}
			t.alarms = append(t.alarms, &alarm{node: c.node, number: 1, due: idle.due, ring: idle.ring})
		}
	}
}

func (c *idleClock) due() (at int64, ok bool) {
	if c.pause != c.t.pause.number {
		c.pause, c.last, c.gone, c.seen = c.t.pause.number, c.t.pause.since, 0, c.clock.now
	}
	if c.seen != c.clock.now { // an operator above has forwarded something in the pause
		c.last, c.seen = c.t.wall, c.clock.now
	}
	return c.last + c.after, c.clock.now != unknownTime && c.gone <= c.reach
}

func (c *idleClock) ring(now int64) error {
	elapsed := now - c.last
	c.last, c.gone = now, c.gone+elapsed
	c.clock.advance(c.clock.now + elapsed)
	c.seen = c.clock.now
	if c.clock.emit == nil {
		return nil // it only decides what is late
	}
	return c.clock.emit(c.clock.now)
}
