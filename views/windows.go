package views

import (
	"context"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// WindowView is the typed view of a window store. It is safe for concurrent use.
type WindowView[K, V any] struct {
	group  *groupView
	key    codecs.Codec[K]
	reader *state.WindowReader[K, V]
}

// Windows returns the typed view of a window store of vs. The codecs must be those the topology writes it with.
func Windows[K, V any](vs *Views, store string, key codecs.Codec[K], value codecs.Codec[V]) (*WindowView[K, V], error) {
	group, spec, err := vs.find(store, state.WindowKind)
	if err != nil {
		return nil, err
	}
	return &WindowView[K, V]{group: group, key: key, reader: state.NewWindowReader(spec, key, value)}, nil
}

// Get returns the value of the window of key that starts at start (milliseconds since the epoch).
func (v *WindowView[K, V]) Get(ctx context.Context, key K, start int64) (value V, ok bool, err error) {
	part, err := partitionOf(ctx, v.group, v.key, key)
	if err != nil {
		return value, false, err
	}
	value, _, ok, err = v.reader.Get(part, key, start)
	return value, ok, err
}

// Fetch yields the windows of key that start in [from, to), in milliseconds since the epoch, in order. It ends after
// the first error.
func (v *WindowView[K, V]) Fetch(ctx context.Context, key K, from, to int64) iter.Seq2[state.WindowEntry[K, V], error] {
	return inPartitionOf(ctx, v.group, v.key, key, func(part state.Partition) iter.Seq2[state.WindowEntry[K, V], error] {
		return v.reader.Fetch(part, key, from, to)
	})
}

// Wait blocks until the view covers the offsets required. When ctx ends first it returns a *BehindError.
func (v *WindowView[K, V]) Wait(ctx context.Context, required state.Offsets) error {
	return v.group.freshness.wait(ctx, required)
}

// Position returns the source offsets the view reflects.
func (v *WindowView[K, V]) Position() state.Offsets { return v.group.freshness.position() }
