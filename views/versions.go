package views

import (
	"context"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// VersionView is the typed view of a versioned store. It is safe for concurrent use.
type VersionView[K, V any] struct {
	typed[K]

	reader *state.VersionReader[K, V]
}

// Versions returns the typed view of a versioned store of vs. The codecs must be the ones that the topology uses.
func Versions[K, V any](vs *Views, store string, key codecs.Codec[K], value codecs.Codec[V]) (*VersionView[K, V], error) {
	group, _, err := vs.find(store, state.VersionedKind)
	if err != nil {
		return nil, err
	}
	return &VersionView[K, V]{typed: typed[K]{group, key}, reader: state.NewVersionReader(store, key, value)}, nil
}

// Get returns the latest value of key, the time from which it is valid in milliseconds since the epoch, and whether key
// exists.
func (v *VersionView[K, V]) Get(ctx context.Context, key K) (value V, from int64, ok bool, err error) {
	part, err := v.partitionOf(ctx, key)
	if err != nil {
		return value, 0, false, err
	}
	return v.reader.Get(part, key)
}

// GetAsOf returns the value that key had at a time, the time from which it was valid, and whether key existed. Times
// are in milliseconds since the epoch. It also finds versions from before the history of the store, as long as they
// have not been removed.
func (v *VersionView[K, V]) GetAsOf(ctx context.Context, key K, at int64) (value V, from int64, ok bool, err error) {
	part, err := v.partitionOf(ctx, key)
	if err != nil {
		return value, 0, false, err
	}
	return v.reader.GetAsOf(part, key, at)
}

// Fetch yields the versions of key that were valid at any time in [from, to), in milliseconds since the epoch, the
// oldest first. A deletion is a gap between two versions. It ends after the first error.
func (v *VersionView[K, V]) Fetch(ctx context.Context, key K, from, to int64) iter.Seq2[state.VersionEntry[K, V], error] {
	return v.inPartitionOf(ctx, key, func(part state.Partition) iter.Seq2[state.VersionEntry[K, V], error] {
		return v.reader.Versions(part, key, from, to)
	})
}
