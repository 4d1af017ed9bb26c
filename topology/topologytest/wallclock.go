package topologytest

import (
	"fmt"
	"time"
)

// Now returns the wall-clock time, in milliseconds since the Unix epoch. A driver starts at 0.
func (d *Driver) Now() int64 { return d.now }

// AdvanceWallClock moves the wall clock on and does everything that waits for it, in all sub-topologies. Stream time does
// not move.
func (d *Driver) AdvanceWallClock(by time.Duration) {
	d.t.Helper()
	d.must(d.TryAdvanceWallClock(by))
}

// TryAdvanceWallClock is AdvanceWallClock for a time at which something fails. After an error, state and outputs are as if
// nothing had been done.
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
