package observe

import (
	"sync"
	"time"
)

// MaxStates bounds the states of a [Clock].
const MaxStates = 8

// Clock measures how long something is in each of its states, which are numbered from 0 to MaxStates-1. It may be read
// while it is changed. The zero value stands still until Enter.
type Clock[S ~uint8] struct {
	mu struct {
		sync.Mutex
		current S
		since   time.Time // zero before the start and after the end
		spent   [MaxStates]time.Duration
	}
}

// Enter begins a state and ends the one before.
func (c *Clock[S]) Enter(state S, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(now)
	c.mu.current, c.mu.since = state, now
}

// Stop ends the last state.
func (c *Clock[S]) Stop(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(now)
	c.mu.since = time.Time{}
}

// settle adds the time in the present state. The lock is held.
func (c *Clock[S]) settle(now time.Time) {
	if !c.mu.since.IsZero() {
		c.mu.spent[c.mu.current] += now.Sub(c.mu.since)
	}
}

// Read returns the present state, when it began, and the time spent in each state until now.
func (c *Clock[S]) Read(now time.Time) (current S, since time.Time, spent [MaxStates]time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spent = c.mu.spent
	if !c.mu.since.IsZero() {
		spent[c.mu.current] += now.Sub(c.mu.since)
	}
	return c.mu.current, c.mu.since, spent
}
