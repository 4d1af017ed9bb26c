package processors

import (
	"log/slog"
	"time"
)

// clockStep is how far the wall clock must be set for a warning. NTP corrects less by making it faster or slower.
const clockStep = time.Second

// clockWatch notices that the wall clock was set, or that the machine was suspended: then the wall clock and the time
// since the process began go apart.
type clockWatch struct {
	wall time.Time
	up   time.Duration
}

// look warns if the two have gone apart since the last call.
func (c *clockWatch) look(logger *slog.Logger, wall time.Time, up time.Duration) {
	wall = wall.Round(0) // without the monotonic part, which would be compared instead
	by := wall.Sub(c.wall) - (up - c.up)
	if known := !c.wall.IsZero(); known && by.Abs() >= clockStep {
		logger.Warn("the wall clock was set, or the machine was suspended; see docs/time.md",
			slog.Duration("by", by.Round(time.Millisecond)), slog.Time("now", wall))
	}
	c.wall, c.up = wall, up
}
