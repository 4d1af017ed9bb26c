package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed84377926/millrace/internal/assignment"
	"github.com/seed84377926/millrace/internal/broker"
)

// standby keeps a copy of the state of a partition that another instance works on, by following its changelog. With it
// this instance can take the partition over at once: when the owner dies or, if the copy is a warm-up, when the group
// moves the partition here. Its goroutine starts with start and ends with stop.
//
// It writes what the owner has committed, batch by batch with the changelog offset, as a restore does. A task that
// takes the partition over restores from there on and has little left to read.
type standby struct {
	group     *group
	partition int32
	warmup    bool
	logger    *slog.Logger
	table     *restoredTable

	ready atomic.Bool // it has caught up once
	stop  func()      // ends the standby and waits for it; the state stays
}

func (g *group) newStandby(p int32, warmup bool) (*standby, error) {
	part, err := g.engine.Open(p)
	if g.dropDamaged(p, err) {
		part, err = g.engine.Open(p)
	}
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	s := &standby{
		group: g, partition: p, warmup: warmup,
		logger: g.logger.With(slog.Int("partition", int(p)), slog.Bool("warmup", warmup)),
	}
	s.table = g.newTable(p, s.logger, func(RestoreProgress) {})
	s.table.part = part
	return s, nil
}

func (s *standby) start(ctx context.Context) { s.stop = background(ctx, s.run) }

// run follows the changelog until ctx ends. Nothing depends on a standby, so it tries again after any error.
func (s *standby) run(ctx context.Context) {
	s.logger.Info("standing by")
	var backoff retryBackoff
	for {
		err := s.follow(ctx, &backoff)
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, broker.ErrOffsetLost) {
			// The changelog was compacted past the copy, or recreated: the copy begins again.
			err = errors.Join(err, s.group.engine.Drop(s.partition))
		}
		s.group.dropDamaged(s.partition, err)
		s.logger.Warn("the copy of a partition cannot be kept up to date; it is tried again", slog.Any("error", err))
		if !sleep(ctx, backoff.next(), nil) {
			return
		}
	}
}

func (s *standby) follow(ctx context.Context, backoff *retryBackoff) error {
	client, topic := s.group.inst.client, s.group.plan().sub.TableTopic()
	from, err := client.StartOffset(ctx, topic, s.partition)
	if err != nil {
		return err
	}
	if last, ok := s.table.part.Offset(); ok {
		from = max(from, last+1)
	}
	// At this offset the copy is as good as the owner's state.
	end, err := client.EndOffset(ctx, topic, s.partition)
	if err != nil {
		return err
	}
	runs := s.group.follows.Follow(topic, s.partition, from, end)
	defer runs.Close()
	next := from
	for {
		if !s.ready.Load() && next >= end-s.group.inst.cfg.AcceptableLag {
			// It may have taken long to get here: the changelog has grown.
			if end, err = client.EndOffset(ctx, topic, s.partition); err != nil {
				return err
			}
			if next >= end-s.group.inst.cfg.AcceptableLag {
				s.recordCaughtUp()
			}
		}
		run, err := runs.Next(ctx)
		if err != nil {
			return err
		}
		next = run.Last() + 1
		err = s.table.Restore(run)
		run.Release()
		if err != nil {
			return err
		}
		backoff.reset()
	}
}

// recordCaughtUp notes that the copy is warm, and tells the group that the partition may move here.
func (s *standby) recordCaughtUp() {
	s.ready.Store(true)
	s.logger.Info("caught up")
	if s.warmup {
		s.group.rejoin()
	}
}

func (s *standby) info() StandbyInfo {
	info := StandbyInfo{Partition: s.partition, Warmup: s.warmup, CaughtUp: s.ready.Load(), Offset: -1, Lag: -1}
	if last, ok := s.table.part.Offset(); ok {
		info.Offset = last
	}
	if end, ok := s.group.stats.TableEnd(s.partition); ok {
		info.Lag = max(0, end-info.Offset-1)
	}
	return info
}

// standbys are the copies that a group keeps on this instance: the copies that the group plans, except for partitions
// that this instance works on itself. A task claims its partition for as long as it lives.
type standbys struct {
	group *group
	ctx   context.Context //nolint:containedctx // the context of all copies; the group's plan has none

	mu struct {
		sync.Mutex
		planned map[int32]bool // by partition: whether the copy is a warm-up
		claimed map[int32]bool
		running map[int32]*standby
	}
}

func newStandbys(ctx context.Context, g *group) *standbys {
	s := &standbys{group: g, ctx: ctx}
	s.mu.claimed = make(map[int32]bool)
	s.mu.running = make(map[int32]*standby)
	return s
}

// setPlan sets the copies that the group plans for this instance.
func (s *standbys) setPlan(plan assignment.Placement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.planned = make(map[int32]bool)
	for _, p := range plan.Standby {
		s.mu.planned[p] = false
	}
	for _, p := range plan.Warmup {
		s.mu.planned[p] = true
	}
	s.reconcile()
}

// claim ends the copy of a partition, if there is one, and keeps it from coming back before release.
func (s *standbys) claim(p int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.claimed[p] = true
	s.reconcile()
}

// release says that this instance does not work on the partition any more.
func (s *standbys) release(p int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.claimed, p)
	s.reconcile()
}

// close ends all copies, for good.
func (s *standbys) close() { s.setPlan(assignment.Placement{}) }

// reconcile ends and starts copies concurrently. The lock is held: the copies do not need it.
func (s *standbys) reconcile() {
	var ending sync.WaitGroup
	for p, running := range s.mu.running {
		warmup, ok := s.mu.planned[p]
		if !ok || warmup != running.warmup || s.mu.claimed[p] {
			delete(s.mu.running, p)
			ending.Go(running.stop)
		}
	}
	ending.Wait()
	for p, warmup := range s.mu.planned {
		if s.mu.running[p] != nil || s.mu.claimed[p] {
			continue
		}
		created, err := s.group.newStandby(p, warmup)
		if err != nil {
			s.group.logger.Error("the copy of a partition cannot be opened", slog.Int("partition", int(p)), slog.Any("error", err))
			continue
		}
		s.mu.running[p] = created
		created.start(s.ctx)
	}
}

// needs says whether this instance works on the partition or keeps a copy of it.
func (s *standbys) needs(p int32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.claimed[p] || s.mu.running[p] != nil
}

// remove removes the state of a partition unless it is needed, and reports whether it did.
func (s *standbys) remove(p int32) (removed bool, err error) {
	s.mu.Lock() // no task or copy can begin to need it under the lock
	defer s.mu.Unlock()
	if s.mu.claimed[p] || s.mu.running[p] != nil {
		return false, nil
	}
	return true, s.group.engine.Drop(p)
}

// releaseState gives back the memory of the state of a partition unless it is needed.
func (s *standbys) releaseState(p int32) error {
	s.mu.Lock() // no task or copy can begin to need it under the lock
	defer s.mu.Unlock()
	if s.mu.claimed[p] || s.mu.running[p] != nil {
		return nil
	}
	return s.group.engine.Release(p)
}

// all returns the copies in the order of their partitions.
func (s *standbys) all() []*standby {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Values(s.mu.running))
	slices.SortFunc(all, func(a, b *standby) int { return int(a.partition - b.partition) })
	return all
}
