package processors

import (
	"context"
	"log/slog"

	"github.com/seed84377926/millrace/processors/internal/observe"
)

// handOver lets the other members of the group take over the tasks of this instance while it still works on them: each
// task stands still only for as long as a takeover takes. It returns when all tasks have gone, when there is no member
// to take them, or when HandoverTimeout is over. A static member hands nothing over: it will be back.
func (g *group) handOver(ctx context.Context) {
	cfg := g.inst.cfg
	member := g.joined()
	if member == nil || cfg.InstanceID != "" || cfg.HandoverTimeout < 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.HandoverTimeout)
	defer cancel()
	for asked := false; len(g.tasks()) > 0 && g.hasSuccessors(); {
		if !asked {
			member.HandOver()
			asked = true
		}
		select {
		case <-g.replanned:
		case <-ctx.Done():
			g.logger.Warn("not all tasks could be handed over in time; their next owners restore the rest",
				slog.Int("tasks", len(g.tasks())), slog.Duration("waited", cfg.HandoverTimeout))
			return
		}
	}
}

// hasSuccessors says whether other members stay in the group, by the last plan.
func (g *group) hasSuccessors() bool {
	for address, m := range g.members() {
		if address != g.inst.cfg.Address && !m.Leaving {
			return true
		}
	}
	return false
}

// leave commits what is open and leaves the group, so that other instances take over at once.
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
		g.rebalance(observe.TasksRevoked, all, func() { g.release(all, (*task).stop) })
	}
	return member.Leave(ctx)
}
