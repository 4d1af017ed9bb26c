package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// group runs one processor group on this instance: it is a member of the consumer group, has a task for each partition
// that is assigned to it, and keeps the copies that the group plans for it. Tasks start and stop on the member's
// goroutine; close ends everything that a group has started.
type group struct {
	inst     *instance
	ctx      context.Context //nolint:containedctx // the context of its tasks; the member's callbacks have none
	logger   *slog.Logger
	engine   state.Engine
	layout   *state.Layout
	reads    *broker.Fetcher // inputs of all tasks
	restores *broker.Fetcher // the group's table, up to the end that a task needs
	follows  *broker.Fetcher // the group's table, for the copies
	standbys *standbys
	leftover *leftovers
	stats    *observe.Group
	limits   atomic.Pointer[map[string]broker.Limits] // what the topics it writes accept; nil: to be read

	// current is its plan at this moment; a task keeps the plan that it began with. See replan.
	current atomic.Pointer[groupPlan]

	damages damages
	sources sourceEnds

	alignment alignment
	closing   sync.WaitGroup // state that is not needed any more

	replanned chan struct{}                 // signalled by each rebalance, before and after the tasks that it revokes have ended
	identity  atomic.Pointer[broker.Member] // the member, also while it leaves

	mu struct {
		sync.Mutex
		member   *broker.Member // nil until the group is joined
		tasks    map[int32]*task
		ending   map[int32]*task // release waits for these
		assigned bool            // the first assignment has come
	}
}

// openGroup opens what the group needs on this instance. Its tasks and copies live in ctx.
func openGroup(ctx context.Context, inst *instance, plan *groupPlan) (_ *group, err error) {
	g := &group{inst: inst, ctx: ctx, stats: observe.NewGroup(), logger: inst.cfg.Logger.With(slog.String("group", plan.sub.Group()))}
	g.current.Store(plan)
	g.sources.client = inst.client
	g.alignment.client, g.alignment.within = inst.client, inst.cfg.AlignWithin
	g.mu.tasks, g.mu.ending = make(map[int32]*task), make(map[int32]*task)
	g.replanned = make(chan struct{}, 1)
	g.standbys = newStandbys(ctx, g)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open group %s: %w", plan.sub.Group(), err), g.close(context.WithoutCancel(ctx)))
		}
	}()
	if g.layout, err = state.NewLayout(plan.sub.Stores()...); err != nil {
		return nil, err
	}
	if g.engine, err = pebblestore.Open(filepath.Join(inst.cfg.Dir, plan.sub.Group()), pebblestore.Options{
		Memory: inst.memory.state, Logger: g.logger,
	}); err != nil {
		return nil, err
	}
	if g.reads, err = broker.NewFetcher(inst.client, inst.memory.fetches); err != nil {
		return nil, err
	}
	for _, tables := range []**broker.Fetcher{&g.restores, &g.follows} {
		if *tables, err = broker.NewTableFetcher(inst.client, inst.memory.tables); err != nil {
			return nil, err
		}
	}
	if g.leftover, err = newLeftovers(ctx, g); err != nil {
		return nil, err
	}
	return g, nil
}

// plan returns the group's plan at this moment.
func (g *group) plan() *groupPlan { return g.current.Load() }

func (g *group) paused() bool { return g.inst.pauses[g.plan().sub.Group()].Load() }

// startTask makes and starts the task of a partition. The lock is held.
func (g *group) startTask(p int32) {
	t := g.newTask(p)
	g.mu.tasks[p] = t
	t.start(g.ctx)
}

func (g *group) newTask(p int32) *task {
	plan := g.plan()
	t := &task{
		inst: g.inst, group: g, plan: plan, partition: p, logger: g.logger.With(slog.Int("partition", int(p))),
		ready: make(chan struct{}, 1), stopping: make(chan struct{}), done: make(chan struct{}),
		unitSize: newUnitSize(g.inst.cfg.CommitInterval),
		spans:    spans{tracer: g.inst.cfg.Tracer, group: plan.sub.Group(), partition: p},
	}
	initTaskStats(&t.stats, g.stats, plan, p)
	t.table = g.newTable(p, t.logger, func(progress RestoreProgress) {
		t.stats.recordRestore(progress)
		if hook := g.inst.cfg.Hooks.RestoreProgress; hook != nil {
			hook(progress)
		}
	})
	return t
}

// newTable prepares the state of a partition, once it is open, to be restored. report is called with the progress.
func (g *group) newTable(p int32, logger *slog.Logger, report func(RestoreProgress)) *restoredTable {
	return &restoredTable{
		layout: g.layout, logger: logger, now: time.Now, report: report,
		progress: RestoreProgress{Group: g.plan().sub.Group(), Partition: p},
	}
}

// close gives everything back. The tasks have ended.
func (g *group) close(ctx context.Context) error {
	err := g.leave(ctx)
	g.standbys.close()
	if g.leftover != nil {
		g.leftover.close()
	}
	for _, fetcher := range []*broker.Fetcher{g.reads, g.restores, g.follows} {
		if fetcher != nil {
			fetcher.Close()
		}
	}
	g.closing.Wait()
	if g.engine != nil {
		err = errors.Join(err, g.engine.Close())
	}
	if err != nil {
		return fmt.Errorf("close group %s: %w", g.plan().sub.Group(), err)
	}
	return nil
}

func (g *group) tasks() []*task {
	g.mu.Lock()
	defer g.mu.Unlock()
	tasks := make([]*task, 0, len(g.mu.tasks))
	for _, t := range g.mu.tasks {
		tasks = append(tasks, t)
	}
	return tasks
}

// state is the state that the App would have if this were its only group.
func (g *group) state() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.mu.assigned {
		return Rebalancing
	}
	state := Running
	for _, t := range g.mu.tasks {
		switch taskState(t.state.Load()) {
		case taskRunning, taskPaused:
		case taskRestoring:
			state = min(state, Restoring)
		case taskStarting, taskTakingOver, taskWaiting, taskStopped:
			return Rebalancing
		}
	}
	return state
}

// topicLimits returns what the topics that the group writes to accept.
func (g *group) topicLimits(ctx context.Context) map[string]broker.Limits {
	if known := g.limits.Load(); known != nil {
		return *known
	}
	topics := append(slices.Collect(maps.Keys(g.plan().outputs)), g.plan().sub.TableTopic())
	limits := g.inst.client.Limits(ctx, topics...)
	g.limits.Store(&limits)
	return limits
}
