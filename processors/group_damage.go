package processors

import (
	"errors"
	"log/slog"
	"sync"

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

// dropDamaged drops the local state of a partition if err says that it is damaged, and reports whether it is. The state
// is then restored from the changelog. Kafka comes first here too (I3): the state that is dropped is a copy of what is
// committed, and never more than that.
func (g *group) dropDamaged(p int32, err error) bool {
	if !errors.Is(err, pebblestore.ErrCorrupt) {
		return false
	}
	g.damages.add(p)
	logger := g.logger.With(slog.Int("partition", int(p)))
	logger.Error("local state is damaged; it is dropped and restored from its changelog", slog.Any("error", err))
	if hook := g.inst.cfg.Hooks.StateDamaged; hook != nil {
		hook(g.plan().sub.Group(), p, err)
	}
	if err := g.engine.Drop(p); err != nil {
		logger.Error("damaged state cannot be dropped; it is tried again", slog.Any("error", err))
	}
	return true
}
