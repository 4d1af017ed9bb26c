package views

import (
	"context"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// VersionView is the typed view of a versioned store. It is safe for concurrent use.
type VersionView[K, V any] struct {
	group  *groupView
	key    codecs.Codec[K]
	reader *state.VersionReader[K, V]
}

// Versions returns the typed view of a versioned store of vs. The codecs must be those the topology writes it with.
func Versions[K, V any](vs *Views, store string, key codecs.Codec[K], value codecs.Codec[V]) (*VersionView[K, V], error) {
	group, _, err := vs.find(store, state.VersionedKind)
	if err != nil {
		return nil, err
	}
	return &VersionView[K, V]{group: group, key: key, reader: state.NewVersionReader(store, key, value)}, nil
}

// Get returns the latest value of key and since when it is valid (milliseconds since the epoch), and whether there is one.
func (v *VersionView[K, V]) Get(ctx context.Context, key K) (value V, from int64, ok bool, err error) {
	part, err := partitionOf(ctx, v.group, v.key, key)
	if err != nil {
		return value, 0, false, err
	}
	return v.reader.Get(part, key)
}

// GetAsOf returns the value that key had at a time and since when (milliseconds since the epoch), and whether there was one. Of
// what is before the history of the store it sees what has not been removed yet.
func (v *VersionView[K, V]) GetAsOf(ctx context.Context, key K, at int64) (value V, from int64, ok bool, err error) {
	part, err := partitionOf(ctx, v.group, v.key, key)
	if err != nil {
		return value, 0, false, err
	}
	return v.reader.GetAsOf(part, key, at)
}

// Fetch yields the versions of key that were valid at any time in [from, to), in milliseconds since the epoch, the oldest first.
// Deletions show as gaps. It ends after the first error.
func (v *VersionView[K, V]) Fetch(ctx context.Context, key K, from, to int64) iter.Seq2[state.VersionEntry[K, V], error] {
	return inPartitionOf(ctx, v.group, v.key, key, func(part state.Partition) iter.Seq2[state.VersionEntry[K, V], error] {
		return v.reader.Versions(part, key, from, to)
	})
}

// Wait blocks until the view covers the offsets required. When ctx ends first it returns a *BehindError.
func (v *VersionView[K, V]) Wait(ctx context.Context, required state.Offsets) error {
	return v.group.freshness.wait(ctx, required)
}

// Position returns the source offsets the view reflects.
func (v *VersionView[K, V]) Position() state.Offsets { return v.group.freshness.position() }
