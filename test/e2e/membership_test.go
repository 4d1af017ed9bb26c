package e2e

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// strict lets only an instance with the whole state of a task take it over at once, so that copies must really be warm.
func strict(c *processors.Config) { c.AcceptableLag = 1 }

func withStandbys(c *processors.Config) { c.Standbys = 1 }

// leavingAtOnce makes the end of an instance look like a crash to the others: nothing is handed over.
func leavingAtOnce(c *processors.Config) { c.HandoverTimeout = -1 }

// loaded starts an instance that has processed n records.
func loaded(t *testing.T, n int, options ...func(*processors.Config)) (*cluster, *topology.Topology, *pipeline, state.Offsets) {
	t.Helper()
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	top := wordCount(t, unique("words"), source)
	first := startPipeline(t, c, top, t.TempDir(), options...)
	var offsets state.Offsets
	for i := 0; i < n; i += n / 10 { // in several commits
		offsets = offsets.Merge(c.produce(t, source, i, n/10))
		first.requireCounts(t, i+n/10, offsets)
	}
	return c, top, first, offsets
}

func sourceOf(top *topology.Topology) string { return top.SubTopologies()[0].Inputs()[0].Topic }

// A task moves to a new instance only when the instance has warmed up, and then finds nearly all of its state there.
func TestMembership_tasksMoveWarm(t *testing.T) {
	t.Parallel()
	c, top, first, offsets := loaded(t, 1000, strict)
	second := startPipeline(t, c, top, t.TempDir(), strict)
	requireTasks(t, second, 4)
	requireTasks(t, first, 4)
	var warm int
	for task, restore := range second.takeovers() {
		if restore.End > 2 {
			require.Positive(t, restore.Start, "task %s moved without its state: %+v", task, restore)
			warm++
		}
	}
	require.Positive(t, warm, "no task that moved had any state")
	offsets = offsets.Merge(c.produce(t, sourceOf(top), 1000, 1000))
	second.requireCounts(t, 2000, offsets)
	first.stop(t)
	second.stop(t)
}

// The tasks of an instance that dies go to the instances with standbys, which have the whole state.
func TestMembership_standbysTakeOver(t *testing.T) {
	t.Parallel()
	c, top, first, offsets := loaded(t, 1000, strict, withStandbys, leavingAtOnce)
	second := startPipeline(t, c, top, t.TempDir(), strict, withStandbys, leavingAtOnce)
	requireTasks(t, second, 4)
	requireTasks(t, first, 4)
	requireStandbys(t, first, 4)
	requireStandbys(t, second, 4)
	before := second.takeovers()

	first.stop(t)
	requireTasks(t, second, 8)
	for task, restore := range second.takeovers() {
		if _, had := before[task]; !had && restore.End > 2 {
			require.Positive(t, restore.Start, "task %s was taken over without a copy: %+v", task, restore)
		}
	}
	offsets = offsets.Merge(c.produce(t, sourceOf(top), 1000, 1000))
	second.requireCounts(t, 2000, offsets)
	second.stop(t)
}

// requireStandbys waits until the instance keeps n copies and all have caught up.
func requireStandbys(t *testing.T, p *pipeline, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var ready int
		for _, g := range p.app.Info(t.Context()).Groups {
			for _, s := range g.Standbys {
				if s.CaughtUp && !s.Warmup {
					ready++
				}
			}
		}
		return ready == n
	}, 30*time.Second, 20*time.Millisecond)
}

// An instance that ends hands its tasks over before it leaves the group.
func TestMembership_leavingHandsOver(t *testing.T) {
	t.Parallel()
	c, top, first, offsets := loaded(t, 1000, strict)
	second := startPipeline(t, c, top, t.TempDir(), strict)
	requireTasks(t, second, 4)
	requireTasks(t, first, 4)
	first.stop(t)
	requireTasks(t, second, 8)
	for task, restore := range second.takeovers() {
		if restore.End > 2 {
			require.Positive(t, restore.Start, "task %s was handed over to somebody without its state: %+v", task, restore)
		}
	}
	offsets = offsets.Merge(c.produce(t, sourceOf(top), 1000, 1000))
	second.requireCounts(t, 2000, offsets)
	second.stop(t)
}

// A static member that restarts keeps its tasks, and the other members do not notice.
func TestMembership_staticMemberRestarts(t *testing.T) {
	t.Parallel()
	named := func(id string) func(*processors.Config) {
		return func(c *processors.Config) { c.InstanceID = id }
	}
	var rebalances atomic.Int32
	count := func(c *processors.Config) {
		c.Hooks.StateChanged = func(_, to processors.State) {
			if to == processors.Rebalancing {
				rebalances.Add(1)
			}
		}
	}
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	top := wordCount(t, unique("words"), source)
	dir := t.TempDir()
	first := startPipeline(t, c, top, dir, named("a"))
	requireTasks(t, first, 8)
	second := startPipeline(t, c, top, t.TempDir(), named("b"), count)
	requireTasks(t, first, 4)
	requireTasks(t, second, 4)
	offsets := c.produce(t, source, 0, 1000)
	second.requireCounts(t, 1000, offsets)

	before := rebalances.Load()
	first.stop(t)
	offsets = offsets.Merge(c.produce(t, source, 1000, 1000))
	first = startPipeline(t, c, top, dir, named("a"))
	requireTasks(t, first, 4)
	first.requireCounts(t, 2000, offsets)
	requireTasks(t, second, 4)
	require.Equal(t, before, rebalances.Load(), "the other instance was disturbed")
	first.stop(t)
	second.stop(t)
}

// Two processes with one name: the group works with the later one, and the earlier one says so.
func TestMembership_instanceIDInUse(t *testing.T) {
	t.Parallel()
	twin := func(c *processors.Config) { c.InstanceID = "twin" }
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	top := wordCount(t, unique("words"), source)
	first := startPipeline(t, c, top, t.TempDir(), twin)
	requireTasks(t, first, 8)
	second := startPipeline(t, c, top, t.TempDir(), twin)
	require.ErrorContains(t, <-first.appDone, `another process has joined with the instance id "twin"`)
	first.cancel()
	require.NoError(t, <-first.vDone)
	requireTasks(t, second, 8)
	second.stop(t)
}

// Only state that is no longer needed is removed, after a while.
func TestMembership_unneededStateIsRemoved(t *testing.T) {
	t.Parallel()
	brief := func(c *processors.Config) { c.CleanupDelay = 100 * time.Millisecond }
	c, top, first, _ := loaded(t, 1000, brief)
	second := startPipeline(t, c, top, t.TempDir(), brief)
	requireTasks(t, second, 4)
	requireTasks(t, first, 4)
	require.Eventually(t, func() bool {
		for _, g := range first.app.Info(t.Context()).Groups {
			if len(g.Leftovers) > 0 {
				return false
			}
		}
		return true
	}, 30*time.Second, 20*time.Millisecond)
	moved := second.takeovers()
	second.stop(t)
	requireTasks(t, first, 8)
	for task, restore := range first.takeovers() {
		if _, ok := moved[task]; ok && restore.End > 0 {
			require.Zero(t, restore.Start, "the state of task %s was still there: %+v", task, restore)
		}
	}
	first.stop(t)
}

// A second application has the name of the first one and keeps other stores. It would go on with state that it does not
// know, and is refused. The first one is not disturbed.
func TestMembership_otherTopologyWithTheSameName(t *testing.T) {
	t.Parallel()
	c, top, first, offsets := loaded(t, 100)
	b := topology.NewBuilder(top.Name())
	lines := topology.Source(b, sourceOf(top), codecs.String, codecs.String)
	lines.GroupByKey().Count("by-key")
	lines.GroupByKey().Count("more")
	other, err := b.Build()
	require.NoError(t, err)
	app, err := processors.New(other, processors.Config{Brokers: c.brokers, Dir: t.TempDir()})
	require.NoError(t, err)
	require.ErrorContains(t, app.Run(t.Context()), "stop them before this one starts, or give this application a name of its own")

	offsets = offsets.Merge(c.produce(t, sourceOf(top), 100, 100))
	first.requireCounts(t, 200, offsets)
	first.stop(t)
}
