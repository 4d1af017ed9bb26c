package processors

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/seed84377926/millrace/internal/assignment"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/processors/internal/observe"
)

// join makes the instance a member of the consumer group, whose plan and assignments it carries out from then on.
func (g *group) join() error {
	cfg, plan := g.inst.cfg, g.plan()
	member, err := broker.JoinGroup(broker.MemberConfig{
		Client: g.inst.client, Group: plan.sub.Group(), Topics: plan.topics(), Partitions: plan.sizes,
		Address: cfg.Address, InstanceID: cfg.InstanceID, SessionTimeout: cfg.SessionTimeout,
		Topology: plan.sub.Fingerprint(),
		Standbys: cfg.Standbys, AcceptableLag: cfg.AcceptableLag, MaxWarmups: cfg.MaxWarmups,
		Held: g.heldOffsets, Planned: g.recordPlan, TwoSteps: cfg.Guarantee == AtLeastOnce,
		Assigned: func(ps []int32) { g.rebalance(observe.TasksAssigned, ps, func() { g.assign(ps) }) },
		Revoked:  func(ps []int32) { g.rebalance(observe.TasksRevoked, ps, func() { g.release(ps, (*task).stop) }) },
		Lost:     func(ps []int32) { g.rebalance(observe.TasksLost, ps, func() { g.release(ps, (*task).abandon) }) },
		Accepted: func() { g.inst.admission.recordAccepted(plan.sub.Group()) },
		Read:     g.recordTopicsRead,
		Denied:   g.handleDenied,
		Refused:  g.inst.fail,
		Replaced: g.inst.fail,
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

// handleDenied ends the application if it was never allowed into the group, or if its inputs do not fit together any
// more. If a permission is taken away later, the group waits for it, as for a broker that is gone.
func (g *group) handleDenied(err error) {
	g.mu.Lock()
	assigned := g.mu.assigned
	g.mu.Unlock()
	if assigned && !errors.Is(err, broker.ErrUneven) {
		g.logger.Error("the group is not accessible any more; it is tried again", slog.Any("error", err))
		return
	}
	g.inst.fail(err)
}

// joined returns the membership, nil before join and after leave.
func (g *group) joined() *broker.Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.member
}

// members returns the placement of each member of the group, by its address.
func (g *group) members() map[string]assignment.Placement {
	member := g.joined()
	if member == nil {
		return nil
	}
	return member.Members()
}

// membership returns the membership in whose name the group's tasks commit offsets, nil if they do so in transactions.
func (g *group) membership() func() broker.Membership {
	if g.inst.cfg.Guarantee != AtLeastOnce {
		return nil
	}
	return func() broker.Membership {
		member := g.identity.Load()
		if member == nil {
			return broker.Membership{Generation: -1} // about to be known
		}
		return member.Membership()
	}
}

// rejoin makes the group plan again, because this instance has something to report.
func (g *group) rejoin() {
	if member := g.joined(); member != nil {
		member.Rejoin()
	}
}

// recordPlan is called with the placement of this instance before anything is assigned to it or revoked.
func (g *group) recordPlan(plan assignment.Placement) {
	g.standbys.setPlan(plan)
	g.signalReplanned()
}

// recordTopicsRead is called after each rebalance with the topics that any member of the group reads. If one of them is
// not known here, the instance looks for it at once.
func (g *group) recordTopicsRead(topics []string) {
	known := g.plan().topics()
	if slices.ContainsFunc(topics, func(topic string) bool { return !slices.Contains(known, topic) }) {
		g.inst.lookForTopics()
	}
}

func (g *group) signalReplanned() {
	select {
	case g.replanned <- struct{}{}:
	default:
	}
}

// rebalance carries out one step of a rebalance, measures it and logs it.
func (g *group) rebalance(step observe.Rebalance, partitions []int32, change func()) {
	start := time.Now()
	change()
	took := time.Since(start)
	g.stats.RecordRebalance(step, took)
	owned := make([]int32, 0)
	for _, t := range g.tasks() {
		owned = append(owned, t.partition)
	}
	slices.Sort(owned)
	logger := g.logger.With(slog.Any("partitions", slices.Sorted(slices.Values(partitions))), slog.Any("owned", owned), slog.Duration("took", took))
	switch step {
	case observe.TasksAssigned:
		logger.Info("tasks assigned")
	case observe.TasksRevoked:
		logger.Info("tasks revoked")
	default:
		logger.Warn("tasks lost: the group gave them to others already")
	}
}

// assign starts a task for each of the partitions.
func (g *group) assign(partitions []int32) {
	for _, p := range partitions {
		g.standbys.claim(p)
		if p >= g.plan().partitions {
			g.inst.fail(fmt.Errorf("group %s: its inputs have got more than the %d partitions that its state has: equal keys are in other partitions now; "+
				"create inputs with the number of partitions that is needed and an application with another name that reads them, "+
				"or delete topic %s and the state directory, and reset the offsets of the group to build the state anew",
				g.plan().sub.Group(), g.plan().partitions, g.plan().sub.TableTopic()))
			continue
		}
		g.mu.Lock()
		g.startTask(p)
		g.mu.Unlock()
	}
	g.mu.Lock()
	g.mu.assigned = true
	g.mu.Unlock()
	g.inst.taskChanged()
}

// release ends the tasks of the partitions concurrently and waits until they have ended, also for tasks that are ending
// already because the instance leaves. Without transactions the next owner must not begin earlier.
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
	// The next owner does not wait for this: it has another disk.
	g.closing.Go(func() { g.releaseState(partitions) })
	g.signalReplanned()
	g.inst.taskChanged()
}
