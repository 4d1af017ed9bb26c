package processors

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/seed84377926/millrace/topology"
)

// replan makes the groups whose plans have changed go on with the new plans, all at once.
func (a *App) replan(ctx context.Context, plans []*groupPlan) {
	var replanned sync.WaitGroup
	for _, g := range a.groups() {
		for _, p := range plans {
			if p.sub.Group() == g.plan().sub.Group() && !p.sameInputs(g.plan()) {
				replanned.Go(func() { g.replan(ctx, p) })
			}
		}
	}
	replanned.Wait()
}

// sameInputs says whether tasks of both plans read the same topics, which come from the same sources.
func (p *groupPlan) sameInputs(other *groupPlan) bool {
	return slices.EqualFunc(p.inputs, other.inputs, func(a, b topology.Input) bool {
		return a.Topic == b.Topic && slices.Equal(a.Origins, b.Origins)
	})
}

// replan makes the group go on with other inputs: it tells the other members which topics it reads, and lets each task
// end with a commit and begin again with a takeover. Nothing moves to another instance. It returns when the tasks have
// begun, or when ctx ends: then close waits for the tasks that are ending.
func (g *group) replan(ctx context.Context, plan *groupPlan) {
	start := time.Now()
	before := g.plan().topics()
	g.mu.Lock()
	g.current.Store(plan)
	g.mu.Unlock()
	now := plan.topics()
	if member := g.joined(); member != nil && !slices.Equal(before, now) {
		member.Subscribe(now, plan.sizes)
	}
	restarted := g.restart(ctx)

	without := func(topics, others []string) []string {
		return slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return slices.Contains(others, topic) })
	}
	added, removed := without(now, before), without(before, now)
	g.logger.Info("group goes on with other topics", slog.Any("added", added), slog.Any("removed", removed),
		slog.Any("inputs", now), slog.Int("tasks", restarted), slog.Duration("took", time.Since(start)))
	if len(added)+len(removed) == 0 {
		return // only sources upstream of its repartition topics have changed
	}
	g.reads.Forget(removed...)
	g.stats.InputChanges.Add(1)
	if hook := g.inst.cfg.Hooks.InputsChanged; hook != nil {
		hook(plan.sub.Group(), added, removed)
	}
}

// restart ends the tasks that began with another plan, all concurrently, and starts each with the present plan as soon
// as it has ended. It does not start a task that is released before that.
func (g *group) restart(ctx context.Context) (restarted int) {
	plan := g.plan()
	stale := slices.DeleteFunc(g.tasks(), func(t *task) bool { return t.plan == plan })
	var restarting sync.WaitGroup
	for _, t := range stale {
		restarting.Go(func() {
			t.stop()
			if len(plan.topicsOf(t.partition)) == 0 {
				return // it is about to be revoked
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			if ctx.Err() == nil && g.mu.tasks[t.partition] == t {
				g.startTask(t.partition)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		restarting.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	g.inst.taskChanged()
	return len(stale)
}
