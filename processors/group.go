package processors

import (
	"cmp"
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

	"github.com/seed84377926/millrace/internal/assignment"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// group runs one processor group on this instance: it is a member of the consumer group, has a task for each partition
// that is assigned to it, and keeps the copies that the group plans for it. Tasks start and stop on the member's goroutine;
// everything of a group ends in close.
type group struct {
	app      *App
	ctx      context.Context //nolint:containedctx // what its tasks live in; the member's callbacks come without one
	logger   *slog.Logger
	engine   state.Engine
	layout   *state.Layout
	reads    *broker.Fetcher // inputs of all tasks
	restores *broker.Fetcher // the group's table, up to the end that a task needs
	follows  *broker.Fetcher // the group's table, for the copies
	standbys *standbys
	leftover *leftovers
	stats    *groupStats
	limits   atomic.Pointer[map[string]int32] // largest batches of the topics it writes; nil: to be asked for

	// current is how it is planned at this moment; a task keeps the plan that it was made with. See replan.
	current atomic.Pointer[groupPlan]

	damages damages
	closing sync.WaitGroup // state that is not needed any more

	replanned chan struct{}                 // signalled after each rebalance, before and after what it takes away has ended
	identity  atomic.Pointer[broker.Member] // the member, also while it leaves

	mu struct {
		sync.Mutex
		member   *broker.Member // nil until the group is joined
		tasks    map[int32]*task
		ending   map[int32]*task // those that release waits for
		assigned bool            // the first assignment has come
	}
}

// openGroup opens what the group needs on this instance. Its tasks and copies live in ctx.
func openGroup(ctx context.Context, app *App, plan *groupPlan) (_ *group, err error) {
	g := &group{app: app, ctx: ctx, stats: newGroupStats(), logger: app.cfg.Logger.With(slog.String("group", plan.sub.Group()))}
	g.current.Store(plan)
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
	if g.engine, err = pebblestore.Open(filepath.Join(app.cfg.Dir, plan.sub.Group()), pebblestore.Options{
		Memory: app.memory.state, Logger: g.logger,
	}); err != nil {
		return nil, err
	}
	if g.reads, err = broker.NewFetcher(app.client, app.memory.fetches); err != nil {
		return nil, err
	}
	for _, tables := range []**broker.Fetcher{&g.restores, &g.follows} {
		if *tables, err = broker.NewTableFetcher(app.client, app.memory.tables); err != nil {
			return nil, err
		}
	}
	if g.leftover, err = newLeftovers(ctx, g); err != nil {
		return nil, err
	}
	return g, nil
}

// plan returns how the group is planned at this moment.
func (g *group) plan() *groupPlan { return g.current.Load() }

// join makes the instance a member of the group.
func (g *group) join() error {
	cfg, plan := g.app.cfg, g.plan()
	member, err := broker.JoinGroup(broker.MemberConfig{
		Client: g.app.client, Group: plan.sub.Group(), Topics: plan.topics(), Partitions: plan.sizes,
		Address: cfg.Address, InstanceID: cfg.InstanceID, SessionTimeout: cfg.SessionTimeout,
		Topology: plan.sub.Fingerprint(),
		Standbys: cfg.Standbys, AcceptableLag: cfg.AcceptableLag, MaxWarmups: cfg.MaxWarmups,
		Held: g.held, Planned: g.planned, TwoSteps: cfg.Guarantee == AtLeastOnce,
		Assigned: func(ps []int32) { g.moved(tasksAssigned, ps, func() { g.assign(ps) }) },
		Revoked:  func(ps []int32) { g.moved(tasksRevoked, ps, func() { g.release(ps, (*task).stop) }) },
		Lost:     func(ps []int32) { g.moved(tasksLost, ps, func() { g.release(ps, (*task).abandon) }) },
		Accepted: func() { g.app.admission.letIn(plan.sub.Group()) },
		Read:     g.read,
		Denied:   g.denied,
		Refused:  g.app.fail,
		Replaced: g.app.fail,
	})
	if err != nil {
		return err
	}
	g.identity.Store(member)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.member = member
	return nil
}

// denied ends the application if it was never allowed into the group, or if its inputs do not fit together any more. A
// permission that is taken away later is waited for, like a broker that is gone.
func (g *group) denied(err error) {
	g.mu.Lock()
	assigned := g.mu.assigned
	g.mu.Unlock()
	if assigned && !errors.Is(err, broker.ErrUneven) {
		g.logger.Error("the group is not accessible any more; it is tried again", slog.Any("error", err))
		return
	}
	g.app.fail(err)
}

// joined returns the membership, nil before join and after leave.
func (g *group) joined() *broker.Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.member
}

// members returns what each member of the group is to do, by its address.
func (g *group) members() map[string]assignment.Placement {
	member := g.joined()
	if member == nil {
		return nil
	}
	return member.Members()
}

// rejoin has the group planned anew: this instance has something to tell.
func (g *group) rejoin() {
	if member := g.joined(); member != nil {
		member.Rejoin()
	}
}

// planned is told what this instance is to do, before it is assigned or has to give up anything.
func (g *group) planned(plan assignment.Placement) {
	g.standbys.want(plan)
	g.signalReplanned()
}

func (g *group) signalReplanned() {
	select {
	case g.replanned <- struct{}{}:
	default:
	}
}

func (g *group) assign(partitions []int32) {
	for _, p := range partitions {
		g.standbys.claim(p)
		if p >= g.plan().partitions {
			g.app.fail(fmt.Errorf("group %s: its inputs have got more than the %d partitions that its state has: equal keys are in other partitions now; "+
				"create inputs with the number of partitions that is needed and an application with another name that reads them, "+
				"or delete topic %s and the state directory, and reset the offsets of the group to build the state anew",
				g.plan().sub.Group(), g.plan().partitions, g.plan().sub.TableTopic()))
			continue
		}
		g.mu.Lock()
		g.begin(p)
		g.mu.Unlock()
	}
	g.mu.Lock()
	g.mu.assigned = true
	g.mu.Unlock()
	g.app.taskChanged()
}

func (g *group) newTask(p int32) *task {
	plan := g.plan()
	t := &task{
		group: g, plan: plan, partition: p, logger: g.logger.With(slog.Int("partition", int(p))),
		stopping: make(chan struct{}), done: make(chan struct{}),
		pace: newPace(g.app.cfg.CommitInterval),
	}
	newTaskStats(&t.stats, g.stats, plan, p)
	t.spans = spans{tracer: g.app.cfg.Tracer, group: plan.sub.Group(), partition: p}
	t.table = g.newTable(p, t.logger, func(progress RestoreProgress) {
		t.stats.restoring(progress)
		if hook := g.app.cfg.Hooks.RestoreProgress; hook != nil {
			hook(progress)
		}
	})
	return t
}

// newTable makes the state of a partition, once it is open, fit to be restored. tell hears of the progress.
func (g *group) newTable(p int32, logger *slog.Logger, tell func(RestoreProgress)) *restoredTable {
	return &restoredTable{
		layout: g.layout, logger: logger, now: time.Now, tell: tell,
		progress: RestoreProgress{Group: g.plan().sub.Group(), Partition: p},
	}
}

// release ends the tasks of the partitions, side by side, and waits for them: also for those that end already because the
// instance leaves. Without transactions the next owner may not begin before.
func (g *group) release(partitions []int32, end func(*task)) {
	var ended sync.WaitGroup
	for _, p := range partitions {
		g.mu.Lock()
		t := cmp.Or(g.mu.tasks[p], g.mu.ending[p])
		delete(g.mu.tasks, p)
		if t != nil {
			g.mu.ending[p] = t
		}
		g.mu.Unlock()
		ended.Go(func() {
			if t != nil {
				end(t)
				g.mu.Lock()
				delete(g.mu.ending, p)
				g.mu.Unlock()
			}
			g.standbys.release(p)
		})
	}
	ended.Wait()
	// The next owner does not wait for this: its disk is another one.
	g.closing.Go(func() { g.releaseState(partitions) })
	g.signalReplanned()
	g.app.taskChanged()
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

// state is what the App's state would be if there were only this group.
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

// maxBytes returns the largest batches that the topics take which the group writes to.
func (g *group) maxBytes(ctx context.Context) map[string]int32 {
	if known := g.limits.Load(); known != nil {
		return *known
	}
	topics := append(slices.Collect(maps.Keys(g.plan().outputs)), g.plan().sub.TableTopic())
	limits := g.app.client.MaxMessageBytes(ctx, topics...)
	g.limits.Store(&limits)
	return limits
}
