package processors

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// leftovers removes the state of partitions that a group has neither worked on nor kept a copy of on this instance for
// the cleanup delay. One goroutine, from newLeftovers to close.
type leftovers struct {
	group *group
	since map[int32]time.Time // since when the state is not needed here
	close func()              // ends the goroutine and waits for it
}

func newLeftovers(ctx context.Context, g *group) (*leftovers, error) {
	partitions, err := g.engine.Partitions()
	if err != nil {
		return nil, err
	}
	l := &leftovers{group: g, since: make(map[int32]time.Time)}
	for _, p := range partitions {
		l.since[p] = time.Now()
	}
	l.close = background(ctx, l.run)
	return l, nil
}

func (l *leftovers) run(ctx context.Context) {
	ticker := time.NewTicker(max(l.group.inst.cfg.CleanupDelay/10, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			l.sweep(now)
		case <-ctx.Done():
			return
		}
	}
}

// partitions lists the partitions whose state is here and not needed. Safe for concurrent use.
func (l *leftovers) partitions() ([]int32, error) {
	partitions, err := l.group.engine.Partitions()
	return slices.DeleteFunc(partitions, l.group.standbys.needs), err
}

// sweep removes what is due.
func (l *leftovers) sweep(now time.Time) {
	g := l.group
	unneeded, err := l.partitions()
	if err != nil {
		g.logger.Warn("state that is not needed any more cannot be removed", slog.Any("error", err))
		return
	}
	maps.DeleteFunc(l.since, func(p int32, _ time.Time) bool { return !slices.Contains(unneeded, p) })
	for _, p := range unneeded {
		since, ok := l.since[p]
		if !ok {
			l.since[p] = now
			continue
		}
		if now.Sub(since) < g.inst.cfg.CleanupDelay {
			continue
		}
		removed, err := g.standbys.remove(p)
		switch {
		case err != nil:
			g.logger.Warn("state that is not needed any more cannot be removed", slog.Int("partition", int(p)), slog.Any("error", err))
		case removed:
			delete(l.since, p)
			g.logger.Info("removed the state of a partition that is not here any more",
				slog.Int("partition", int(p)), slog.Duration("unused", now.Sub(since)))
		}
	}
}
