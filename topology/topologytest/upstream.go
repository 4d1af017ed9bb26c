package topologytest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed84377926/millrace/topology/engine"
)

// defaultIdleTimeout is the default of the runtime's IdleTimeout.
const defaultIdleTimeout = 5 * time.Second

// IdleTimeout sets how much time must pass without a record until a task tells the tasks downstream that it has nothing
// to read, so that they do not wait for it: 5 seconds by default, as in production. A negative d means that it never
// does. See [Driver.AdvanceWallClock].
func IdleTimeout(d time.Duration) Option {
	return func(driver *Driver) { driver.idleTimeout = d.Milliseconds() }
}

// upstream is what a runner tells the tasks downstream of its repartition topics.
type upstream struct {
	marks     []string         // the repartition topics that it writes
	told      map[string]int64 // how far it has come, by topic
	committed map[string]int64 // told, as of the last commit
	active    int64            // how much time had passed when the task processed a record of an external input
}

// queued is a record on its way to a task, or what an upstream task tells it.
type queued struct {
	engine.RawRecord

	told *int64 // nil for a record
	from int32  // the upstream task that told it
}

// connect finds out who writes what, for all runners.
func (d *Driver) connect() {
	for _, r := range d.runners {
		r.up.marks = nil
		for _, topic := range r.sub.Outputs() {
			if d.upstreamTasks(topic) > 0 {
				r.up.marks = append(r.up.marks, topic)
			}
		}
		r.up.told, r.up.committed, r.up.active = make(map[string]int64), make(map[string]int64), d.passed
	}
}

// upstreamTasks returns the number of tasks that write to a repartition topic, 0 for any other topic.
func (d *Driver) upstreamTasks(topic string) (n int32) {
	for _, sub := range d.top.SubTopologies() {
		for _, in := range sub.Inputs() {
			if in.Topic != topic || !in.Repartition {
				continue
			}
			for _, r := range d.runners {
				if slices.Contains(in.Upstream, r.sub.Group()) {
					n++
				}
			}
			return n
		}
	}
	return 0
}

// writers is the Writers of a task's configuration.
func (d *Driver) writers(r *runner) func(topic string) int32 {
	return func(topic string) int32 {
		if n, err := d.partitionsOf(topic); err == nil && r.partition >= n {
			return 0
		}
		return max(1, d.upstreamTasks(topic))
	}
}

// tell lets each task tell the tasks downstream how far it has come, and reports whether somebody had news.
func (d *Driver) tell() (news bool) {
	for _, r := range d.runners {
		if r.task.Holding() || r.task.InFlight() > 0 {
			continue // what is still to come is older
		}
		for _, topic := range r.up.marks {
			now := r.watermark(topic)
			if last, ok := r.up.told[topic]; now == engine.UnknownTime || ok && now == last {
				continue
			}
			r.up.told[topic] = now
			news = true
			for _, down := range d.runners {
				for i, in := range down.inputs {
					if in.Topic == topic {
						down.queues[i] = append(down.queues[i], queued{told: &now, from: r.partition})
					}
				}
			}
		}
	}
	return news
}

// watermark returns how far the task has come for those that read a repartition topic.
func (r *runner) watermark(topic string) int64 {
	feeding := r.sub.Feeding(topic)
	return r.task.TimeFor(topic, func(input string) bool { return slices.Contains(feeding, input) })
}

// rest tells the tasks that have read no external record for the idle timeout that their external inputs are idle.
func (d *Driver) rest() error {
	if d.idleTimeout < 0 {
		return nil
	}
	for _, r := range d.runners {
		if _, goesOn := r.task.IdleDue(); goesOn || d.passed-r.up.active < d.idleTimeout {
			continue
		}
		if err := r.task.Tell(engine.Origin{}, engine.IdleTime); err != nil {
			return fmt.Errorf("sub-topology %q: %w", r.sub.Name(), err)
		}
		if err := d.run(); err != nil {
			return err
		}
	}
	return nil
}

func (u *upstream) commit()   { u.committed = maps.Clone(u.told) }
func (u *upstream) rollback() { u.told = maps.Clone(u.committed) }
