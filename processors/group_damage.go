package processors

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// damages counts, by partition, how often damaged state was dropped.
type damages struct {
	mu struct {
		sync.Mutex
		n map[int32]int64
	}
}

func (d *damages) add(p int32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mu.n == nil {
		d.mu.n = make(map[int32]int64)
	}
	d.mu.n[p]++
}

func (d *damages) of(p int32) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.n[p]
}

// dropDamaged drops the local state of a partition if err says that it is damaged, and reports whether it is: it is then
// restored from the changelog. Kafka comes first here too (I3): what is dropped is a copy of what is committed, and never
// more than that.
func (g *group) dropDamaged(p int32, err error) bool {
	if !errors.Is(err, pebblestore.ErrCorrupt) {
		return false
	}
	g.damages.add(p)
	logger := g.logger.With(slog.Int("partition", int(p)))
	logger.Error("local state is damaged; it is dropped and restored from its changelog", slog.Any("error", err))
	if hook := g.app.cfg.Hooks.StateDamaged; hook != nil {
		hook(g.plan().sub.Group(), p, err)
	}
	if err := g.engine.Drop(p); err != nil {
		logger.Error("damaged state cannot be dropped; it is tried again", slog.Any("error", err))
	}
	return true
}

// openState opens the task's local state. It is open already unless this is the task's first life.
func (t *task) openState() error {
	part, err := t.group.engine.Open(t.partition)
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	t.table.part = part
	return nil
}

// releaseState makes state that is not needed here at present durable and gives its memory back.
func (g *group) releaseState(partitions []int32) {
	for _, p := range partitions {
		if err := g.standbys.releaseState(p); err != nil && !errors.Is(err, state.ErrClosed) {
			g.logger.Error("state that is not needed any more cannot be written; it is restored if it is needed again",
				slog.Int("partition", int(p)), slog.Any("error", err))
		}
	}
}

// held returns the changelog offsets that the state on this instance reflects, in whatever role it is here.
func (g *group) held() map[int32]int64 {
	partitions, err := g.engine.Partitions()
	if err != nil {
		g.logger.Warn("the group cannot be told which state is here", slog.Any("error", err))
		return nil
	}
	offsets := make([]int64, len(partitions))
	var opening sync.WaitGroup
	for i, p := range partitions {
		opening.Go(func() { offsets[i] = g.heldOffset(p) })
	}
	opening.Wait()
	held := make(map[int32]int64, len(partitions))
	for i, p := range partitions {
		if offsets[i] >= 0 {
			held[p] = offsets[i]
		}
	}
	g.closing.Go(func() { g.releaseState(partitions) })
	return held
}

// heldOffset is the changelog offset that the state of a partition reflects, -1 if there is none. State that is damaged is
// none: whoever needs it drops it.
func (g *group) heldOffset(p int32) int64 {
	part, err := g.engine.Open(p)
	if err != nil {
		g.logger.Warn("the group cannot be told of the state of a partition", slog.Int("partition", int(p)), slog.Any("error", err))
		return -1
	}
	if offset, ok := part.Offset(); ok {
		return offset
	}
	return -1
}
