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

// AdvanceWallClock lets time pass: it moves the wall clock forward and does everything that was waiting for it, in all
// sub-topologies. No input comes meanwhile. Stream time does not move, unless the topology advances it when input is
// idle; but tasks that have read nothing for the [IdleTimeout] hold back the time of the tasks downstream no longer.
func (d *Driver) AdvanceWallClock(by time.Duration) {
	d.t.Helper()
	d.must(d.TryAdvanceWallClock(by))
}

// TryAdvanceWallClock is AdvanceWallClock for a step at which something may fail. After an error, state and outputs are
// as if the clock had not moved.
func (d *Driver) TryAdvanceWallClock(by time.Duration) error {
	return d.moveWallClock(by, by)
}

// SetWallClock sets the wall clock, forward or back, as an administrator, NTP or a machine that was suspended does: no
// time passes.
func (d *Driver) SetWallClock(now int64) {
	d.t.Helper()
	d.must(d.moveWallClock(time.Duration(now-d.now)*time.Millisecond, 0))
}

// moveWallClock moves the wall clock while the given time passes.
func (d *Driver) moveWallClock(by, passed time.Duration) error {
	d.now += by.Milliseconds()
	a := action{wallClock: d.now, passed: passed.Milliseconds()}
	d.pending = append(d.pending, a)
	return d.settle(d.do(a))
}

func (d *Driver) tellTime(now, passed int64) error {
	d.passed += passed
	for _, r := range d.runners {
		err := r.task.AdvanceIdle(passed)
		if err == nil {
			err = r.task.AdvanceWallClock(now)
		}
		if err != nil {
			return fmt.Errorf("sub-topology %q: %w", r.sub.Name(), err)
		}
		if err := d.run(); err != nil {
			return err
		}
	}
	return d.rest()
}
