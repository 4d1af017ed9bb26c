package processors

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/seed84377926/millrace/topology"
)

// reflectsLike says whether tasks of both plans read the same topics and say the same of the sources before them.
func (p *groupPlan) reflectsLike(other *groupPlan) bool {
	return slices.EqualFunc(p.inputs, other.inputs, func(a, b topology.Input) bool {
		return a.Topic == b.Topic && slices.Equal(a.Origins, b.Origins)
	})
}

// replan has the group go on with other inputs: it tells the other members which topics it reads, and lets each task end with a
// commit and begin anew, as after any takeover. Nothing moves to another instance. It returns when the tasks have begun, or ctx
// ends: then close waits for those that end.
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
		return // only what is before its repartition topics is other
	}
	g.reads.Forget(removed...)
	g.stats.inputChanges.Add(1)
	if hook := g.app.cfg.Hooks.InputsChanged; hook != nil {
		hook(plan.sub.Group(), added, removed)
	}
}

// restart ends the tasks that were begun with another plan, side by side, and begins each with the present one as soon as it has
// ended. Whoever releases a task meanwhile has the last word.
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
				g.begin(t.partition)
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
	g.app.taskChanged()
	return len(stale)
}

// begin makes and starts the task of a partition. The lock is held.
func (g *group) begin(p int32) {
	t := g.newTask(p)
	g.mu.tasks[p] = t
	t.start(g.ctx)
}

// read is told, after each rebalance, which topics any member of the group reads. One that is not known here is looked for at once.
func (g *group) read(topics []string) {
	known := g.plan().topics()
	if slices.ContainsFunc(topics, func(topic string) bool { return !slices.Contains(known, topic) }) {
		g.app.topics.hurry()
	}
}
