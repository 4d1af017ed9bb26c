package processors

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/seed84377926/millrace/state"
)

// heldOffsets returns the changelog offsets that the state on this instance reflects, whether the state is used or not:
// the group places tasks and copies by them.
func (g *group) heldOffsets() map[int32]int64 {
	partitions, err := g.engine.Partitions()
	if err != nil {
		g.logger.Warn("the state on this instance cannot be listed; the group plans as if there were none", slog.Any("error", err))
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

// heldOffset returns the changelog offset that the state of a partition reflects, -1 if there is no state. Damaged
// state counts as none: the task or copy that needs it drops it.
func (g *group) heldOffset(p int32) int64 {
	part, err := g.engine.Open(p)
	if err != nil {
		g.logger.Warn("the state of a partition cannot be opened; the group plans as if there were none", slog.Int("partition", int(p)), slog.Any("error", err))
		return -1
	}
	if offset, ok := part.Offset(); ok {
		return offset
	}
	return -1
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
