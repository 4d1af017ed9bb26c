package processors

import (
	"context"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// watchInterval is how old the known ends of inputs, and so lags, may be.
const watchInterval = 5 * time.Second

// startWatch starts to watch the tasks. The function it returns ends that and waits for it.
func (a *App) startWatch(ctx context.Context) (stop func()) { return background(ctx, a.watch) }

// watch reads where the inputs end, and looks for tasks that are stuck and for a wall clock that was set, until ctx
// ends.
func (a *App) watch(ctx context.Context) {
	interval := watchInterval
	if a.cfg.StuckAfter > 0 {
		interval = min(interval, max(a.cfg.StuckAfter/4, time.Millisecond))
	}
	stuck := stuckDetector{after: a.cfg.StuckAfter, tasks: make(map[*task]*standstill)}
	began := time.Now()
	var clock clockWatch
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, g := range a.groups() {
			g.readEnds(ctx, interval)
		}
		a.globals().askEnds(ctx, interval)
		now := time.Now()
		clock.look(a.cfg.Logger, now, now.Sub(began))
		for _, g := range a.groups() {
			for _, t := range g.tasks() {
				stuck.check(t, now)
			}
		}
		stuck.forget(now)
	}
}

// readEnds reads where the inputs of the tasks end, and where the changelog does, for the copies. If they cannot be
// read, the ends that were known last stay.
func (g *group) readEnds(ctx context.Context, interval time.Duration) {
	tasks, standbys := g.tasks(), g.standbys.all()
	if len(tasks) == 0 && len(standbys) == 0 {
		return
	}
	topics, table := g.plan().topics(), g.plan().sub.TableTopic()
	if len(standbys) > 0 {
		topics = append(topics, table)
	}
	ctx, cancel := context.WithTimeout(ctx, max(interval, time.Second))
	defer cancel()
	ends, err := g.inst.client.Ends(ctx, topics...)
	if err != nil {
		g.logger.Debug("the ends of topics cannot be read", slog.Any("error", err))
		return
	}
	for _, t := range tasks {
		t.stats.recordEnds(t.partition, ends)
	}
	g.stats.RecordTableEnds(endsOf(table, ends))
}

// endsOf returns the committed ends of the partitions of a topic.
func endsOf(topic string, ends map[state.TopicPartition]broker.LogEnd) map[int32]int64 {
	of := make(map[int32]int64)
	for tp, end := range ends {
		if tp.Topic == topic {
			of[tp.Partition] = end.Committed
		}
	}
	return of
}
