package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// group runs one processor group on this instance: it is a member of the consumer group and has a task for each
// partition that is assigned to it. Tasks start and stop on the member's goroutine; everything of a group ends in
// close.
type group struct {
	app      *App
	plan     *groupPlan
	logger   *slog.Logger
	engine   state.Engine
	layout   *state.Layout
	reads    *broker.Fetcher // inputs of all tasks
	restores *broker.Fetcher // the group's table

	mu struct {
		sync.Mutex
		member   *broker.Member // nil until the group is joined
		tasks    map[int32]*task
		assigned bool // the first assignment has come
	}
}

func openGroup(app *App, plan *groupPlan) (_ *group, err error) {
	g := &group{app: app, plan: plan, logger: app.cfg.Logger.With(slog.String("group", plan.sub.Group()))}
	g.mu.tasks = make(map[int32]*task)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open group %s: %w", plan.sub.Group(), err), g.close(context.Background()))
		}
	}()
	if g.layout, err = state.NewLayout(plan.sub.Stores()...); err != nil {
		return nil, err
	}
	if g.engine, err = pebblestore.Open(filepath.Join(app.cfg.Dir, plan.sub.Group()), pebblestore.Options{Logger: g.logger}); err != nil {
		return nil, err
	}
	if g.reads, err = broker.NewFetcher(app.client); err != nil {
		return nil, err
	}
	if g.restores, err = broker.NewFetcher(app.client); err != nil {
		return nil, err
	}
	return g, nil
}

// join makes the instance a member of the group. Tasks run under ctx.
func (g *group) join(ctx context.Context) error {
	member, err := broker.JoinGroup(broker.MemberConfig{
		Client: g.app.client, Group: g.plan.sub.Group(), Topics: g.inputTopics(),
		Address: g.app.cfg.Address, SessionTimeout: g.app.cfg.SessionTimeout,
		Assigned: func(partitions []int32) { g.assign(ctx, partitions) },
		Revoked:  func(partitions []int32) { g.release(partitions, (*task).stop) },
		Lost:     func(partitions []int32) { g.release(partitions, (*task).abandon) },
		Denied:   g.denied,
	})
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.member = member
	return nil
}

// denied ends the application if it was never allowed into the group. A permission that is taken away later is waited
// for, like a broker that is gone.
func (g *group) denied(err error) {
	g.mu.Lock()
	assigned := g.mu.assigned
	g.mu.Unlock()
	if assigned {
		g.logger.Error("the group is not accessible any more; it is tried again", slog.Any("error", err))
		return
	}
	g.app.fail(err)
}

// members returns which partitions each member of the group has, by its address.
func (g *group) members() map[string][]int32 {
	g.mu.Lock()
	member := g.mu.member
	g.mu.Unlock()
	if member == nil {
		return nil
	}
	return member.Members()
}

func (g *group) assign(ctx context.Context, partitions []int32) {
	g.logger.Info("assigned", slog.Any("partitions", partitions))
	for _, p := range partitions {
		part, err := g.engine.Open(p)
		if err != nil {
			g.app.fail(fmt.Errorf("group %s, partition %d: open state: %w", g.plan.sub.Group(), p, err))
			continue
		}
		t := g.newTask(p, part)
		g.mu.Lock()
		g.mu.tasks[p] = t
		g.mu.Unlock()
		t.start(ctx)
	}
	g.mu.Lock()
	g.mu.assigned = true
	g.mu.Unlock()
	g.app.taskChanged()
}

func (g *group) newTask(p int32, part state.Partition) *task {
	t := &task{
		group: g, partition: p, logger: g.logger.With(slog.Int("partition", int(p))),
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	t.stats.ready = make(chan struct{}, 1)
	t.table = &restoredTable{
		part: part, layout: g.layout, logger: t.logger, now: time.Now,
		progress: RestoreProgress{Group: g.plan.sub.Group(), Partition: p},
		tell: func(progress RestoreProgress) {
			t.stats.restore.Store(&progress)
			if hook := g.app.cfg.Hooks.RestoreProgress; hook != nil {
				hook(progress)
			}
		},
	}
	return t
}

// release ends the tasks of the partitions, side by side, and waits for them.
func (g *group) release(partitions []int32, end func(*task)) {
	g.logger.Info("giving up", slog.Any("partitions", partitions))
	var ended sync.WaitGroup
	for _, p := range partitions {
		g.mu.Lock()
		t := g.mu.tasks[p]
		delete(g.mu.tasks, p)
		g.mu.Unlock()
		if t != nil {
			ended.Go(func() { end(t) })
		}
	}
	ended.Wait()
	g.app.taskChanged()
}

// leave commits what is open and leaves the group, so that others take over at once.
func (g *group) leave(ctx context.Context) error {
	g.mu.Lock()
	member := g.mu.member
	g.mu.member = nil
	g.mu.Unlock()
	if member == nil {
		return nil
	}
	var all []int32
	for _, t := range g.tasks() {
		all = append(all, t.partition)
	}
	if len(all) > 0 {
		g.release(all, (*task).stop)
	}
	return member.Leave(ctx)
}

// close gives everything back. The tasks have ended.
func (g *group) close(ctx context.Context) error {
	err := g.leave(ctx)
	if g.reads != nil {
		g.reads.Close()
	}
	if g.restores != nil {
		g.restores.Close()
	}
	if g.engine != nil {
		err = errors.Join(err, g.engine.Close())
	}
	if err != nil {
		return fmt.Errorf("close group %s: %w", g.plan.sub.Group(), err)
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

// running says whether the group's part on this instance is at work.
func (g *group) running() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.mu.assigned {
		return false
	}
	for _, t := range g.mu.tasks {
		if taskState(t.state.Load()) != taskRunning {
			return false
		}
	}
	return true
}

func (g *group) inputTopics() []string {
	topics := make([]string, len(g.plan.inputs))
	for i, in := range g.plan.inputs {
		topics[i] = in.Topic
	}
	return topics
}
