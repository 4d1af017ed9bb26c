package views

import (
	"context"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// WindowView is the typed view of a window store. It is safe for concurrent use.
type WindowView[K, V any] struct {
	typed[K]

	reader *state.WindowReader[K, V]
}

// Windows returns the typed view of a window store of vs. The codecs must be the ones that the topology uses.
func Windows[K, V any](vs *Views, store string, key codecs.Codec[K], value codecs.Codec[V]) (*WindowView[K, V], error) {
	group, spec, err := vs.find(store, state.WindowKind)
	if err != nil {
		return nil, err
	}
	return &WindowView[K, V]{typed: typed[K]{group, key}, reader: state.NewWindowReader(spec, key, value)}, nil
}

// Get returns the value of key's window that starts at start, in milliseconds since the epoch, and whether it exists.
func (v *WindowView[K, V]) Get(ctx context.Context, key K, start int64) (value V, ok bool, err error) {
	part, err := v.partitionOf(ctx, key)
	if err != nil {
		return value, false, err
	}
	value, _, ok, err = v.reader.Get(part, key, start)
	return value, ok, err
}

// Fetch yields the windows of key that start in [from, to), in milliseconds since the epoch, in the order of their
// starts. It ends after the first error.
func (v *WindowView[K, V]) Fetch(ctx context.Context, key K, from, to int64) iter.Seq2[state.WindowEntry[K, V], error] {
	return v.inPartitionOf(ctx, key, func(part state.Partition) iter.Seq2[state.WindowEntry[K, V], error] {
		return v.reader.Fetch(part, key, from, to)
	})
}
