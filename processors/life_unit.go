package processors

import "time"

// pace bounds the records of one unit, so that a task with slow operators still notices in time that a commit is due, or
// that it is to stop: nothing interrupts a unit. It belongs to the task and outlives its lives, since a unit that was so
// slow that its transaction timed out must not be as large in the next one.
type pace struct {
	size   int
	target time.Duration // what a unit may take
}

// firstUnit is small: nothing is known yet of what the operators cost.
const firstUnit = 64

// newPace returns the pace of a task that commits after each interval.
func newPace(interval time.Duration) pace {
	return pace{size: firstUnit, target: min(max(interval/4, time.Millisecond), 50*time.Millisecond)}
}

// limit returns how many records the next unit may have.
func (p *pace) limit() int { return p.size }

// took learns that a unit of n records was processed in d.
func (p *pace) took(n int, d time.Duration) {
	switch {
	case d > p.target:
		p.size = max(1, int(int64(n)*int64(p.target)/int64(d)))
	case n >= p.size && d < p.target/2:
		p.size = min(2*p.size, maxUnit)
	}
}
