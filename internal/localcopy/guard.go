package localcopy

import (
	"errors"
	"iter"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// guarded is the copy for readers: it reports damage to the copy, and refuses readers while the copy is read again
// (LC3).
type guarded struct {
	state.Partition
	copy *Copy
}

// begin begins a read of the current generation, or refuses it.
func (g guarded) begin() (generation int64, err error) {
	generation = g.copy.damaged.Load()
	if g.copy.rebuilding.Load() {
		return generation, g.copy.contents.Rebuilding(nil)
	}
	return generation, nil
}

// check returns the error of a read that began in the given generation and has returned err so far.
func (g guarded) check(generation int64, err error) error {
	if errors.Is(err, pebblestore.ErrCorrupt) {
		g.copy.mu.Lock()
		defer g.copy.mu.Unlock()
		g.copy.drop(err, generation)
		return g.copy.contents.Rebuilding(err)
	}
	if err == nil && g.copy.damaged.Load() != generation {
		return g.copy.contents.Rebuilding(nil)
	}
	return err
}

// Get implements state.Partition.
func (g guarded) Get(dst, key []byte) ([]byte, bool, error) {
	generation, err := g.begin()
	if err != nil {
		return dst, false, err
	}
	value, ok, err := g.Partition.Get(dst, key)
	if err := g.check(generation, err); err != nil {
		return dst, false, err
	}
	return value, ok, nil
}

// Scan implements state.Partition.
func (g guarded) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	return func(yield func(state.Row, error) bool) {
		generation, err := g.begin()
		if err != nil {
			yield(state.Row{}, err)
			return
		}
		for row, err := range g.Partition.Scan(lo, hi) {
			if err := g.check(generation, err); err != nil {
				yield(state.Row{}, err)
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := g.check(generation, nil); err != nil {
			yield(state.Row{}, err)
		}
	}
}

// Snapshot implements state.Partition.
func (g guarded) Snapshot(read func(state.Reader) error) error {
	generation, err := g.begin()
	if err != nil {
		return err
	}
	return g.check(generation, g.Partition.Snapshot(read))
}
