package edge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fakeClocks are a wall clock that can be set, and the time since the process began, which cannot.
type fakeClocks struct {
	wall time.Time
	up   time.Duration
}

func (c *fakeClocks) pass(d time.Duration) { c.wall, c.up = c.wall.Add(d), c.up+d }

func (c *fakeClocks) steady() *steadyClock {
	return newSteadyClock(func() time.Time { return c.wall }, func() time.Duration { return c.up })
}

func TestSteadyClock_followsTheWallClock(t *testing.T) {
	c := &fakeClocks{wall: time.Now()}
	steady := c.steady()
	for range 5 {
		c.pass(time.Hour)
		require.Equal(t, c.wall.Round(0), steady.now())
	}
}

func TestSteadyClock_stepForward(t *testing.T) {
	c := &fakeClocks{wall: time.UnixMilli(0)}
	steady := c.steady()
	c.wall = c.wall.Add(24 * time.Hour)
	require.Equal(t, int64(0), steady.now().UnixMilli(), "no time has passed")
	c.pass(time.Hour)
	require.Equal(t, 2*time.Hour.Milliseconds(), steady.now().UnixMilli(), "at most twice as fast")
	for range 100 {
		c.pass(time.Hour)
		steady.now()
	}
	require.Equal(t, c.wall.UnixMilli(), steady.now().UnixMilli(), "it has caught up")
}

func TestSteadyClock_stepBack(t *testing.T) {
	c := &fakeClocks{wall: time.UnixMilli(0).Add(24 * time.Hour)}
	steady := c.steady()
	before := steady.now()
	c.wall = c.wall.Add(-time.Hour)
	c.pass(time.Minute)
	require.Equal(t, before, steady.now(), "it never goes back")
	c.pass(time.Hour)
	require.Equal(t, before.Add(time.Minute), steady.now(), "it goes on when the wall clock has come there again")
}
