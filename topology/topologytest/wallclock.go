package topologytest

import (
	"fmt"
	"time"
)

// MaxTimeAhead makes sources refuse records whose time is further ahead of the wall clock, as the runtime does by
// default. Without it a test has no bound, since its wall clock begins at 0.
func MaxTimeAhead(d time.Duration) Option {
	return func(t *Driver) { t.maxTimeAhead = d.Milliseconds() }
}

// Now returns the wall-clock time, in milliseconds since the Unix epoch. A driver starts at 0.
func (d *Driver) Now() int64 { return d.now }

// AdvanceWallClock moves the wall clock forward and does everything that was waiting for it, in all sub-topologies.
// Stream time does not move.
func (d *Driver) AdvanceWallClock(by time.Duration) {
	d.t.Helper()
	d.must(d.TryAdvanceWallClock(by))
}

// TryAdvanceWallClock is AdvanceWallClock for a step at which something may fail. After an error, state and outputs are
// as if the clock had not moved.
func (d *Driver) TryAdvanceWallClock(by time.Duration) error {
	d.now += by.Milliseconds()
	d.pending = append(d.pending, action{wallClock: d.now})
	return d.settle(d.tellTime(d.now))
}

func (d *Driver) tellTime(now int64) error {
	for _, r := range d.runners {
		if err := r.task.AdvanceWallClock(now); err != nil {
			return fmt.Errorf("sub-topology %q: %w", r.sub.Name(), err)
		}
		if err := d.run(); err != nil {
			return err
		}
	}
	return nil
}
