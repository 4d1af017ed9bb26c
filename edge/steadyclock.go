package edge

import (
	"sync"
	"time"
)

// steadyClock is the wall clock without its steps, for what expires. It never goes back, and it goes at most twice as
// fast as time passes: it follows a step forward only as fast as that. So what is kept for a while is kept for half of
// it at least, however the wall clock is set meanwhile. It begins with the wall clock as it is. Safe for concurrent
// use.
type steadyClock struct {
	wall   func() time.Time
	uptime func() time.Duration // does not depend on the wall clock

	mu struct {
		sync.Mutex
		now  time.Time
		read time.Duration // the uptime at that time
	}
}

func newSteadyClock(wall func() time.Time, uptime func() time.Duration) *steadyClock {
	c := &steadyClock{wall: wall, uptime: uptime}
	c.mu.now, c.mu.read = wall().Round(0), uptime()
	return c
}

// now returns the time. It has no monotonic part, which would decide comparisons instead of the wall clock.
func (c *steadyClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, up := c.wall().Round(0), c.uptime()
	fastest := c.mu.now.Add(2 * (up - c.mu.read))
	c.mu.read = up
	if wall.After(fastest) {
		wall = fastest
	}
	if wall.After(c.mu.now) {
		c.mu.now = wall
	}
	return c.mu.now
}
