package views

import (
	"context"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// KeyValueView is the typed view of a key-value store. It is safe for concurrent use.
type KeyValueView[K, V any] struct {
	group  *groupView
	key    codecs.Codec[K]
	reader *state.KeyValueReader[K, V]
}

// KeyValue returns the typed view of a key-value store of vs. The codecs must be those the topology writes it with.
func KeyValue[K, V any](vs *Views, store string, key codecs.Codec[K], value codecs.Codec[V]) (*KeyValueView[K, V], error) {
	group, _, err := vs.find(store, state.KeyValueKind)
	if err != nil {
		return nil, err
	}
	return &KeyValueView[K, V]{group: group, key: key, reader: state.NewKeyValueReader(store, key, value)}, nil
}

// Get returns the value of key and whether it exists.
func (v *KeyValueView[K, V]) Get(ctx context.Context, key K) (value V, ok bool, err error) {
	part, err := partitionOf(ctx, v.group, v.key, key)
	if err != nil {
		return value, false, err
	}
	value, _, ok, err = v.reader.Get(part, key)
	return value, ok, err
}

// Range yields the entries with lo <= key < hi in the order of their encoded keys, over all partitions; nil leaves that
// end open. It ends after the first error.
func (v *KeyValueView[K, V]) Range(ctx context.Context, lo, hi *K) iter.Seq2[state.Entry[K, V], error] {
	return merge(ctx, v.group, v.appendKey, func(part state.Partition) iter.Seq2[state.Entry[K, V], error] {
		return v.reader.Range(part, lo, hi)
	})
}

// Prefix yields the entries whose encoded key begins with prefix, in the order of their encoded keys, over all
// partitions. It ends after the first error.
func (v *KeyValueView[K, V]) Prefix(ctx context.Context, prefix []byte) iter.Seq2[state.Entry[K, V], error] {
	return merge(ctx, v.group, v.appendKey, func(part state.Partition) iter.Seq2[state.Entry[K, V], error] {
		return v.reader.Prefix(part, prefix)
	})
}

func (v *KeyValueView[K, V]) appendKey(dst []byte, e state.Entry[K, V]) ([]byte, error) {
	return v.key.Append(dst, e.Key)
}

// Wait blocks until the view covers the offsets required. When ctx ends first it returns a *BehindError.
func (v *KeyValueView[K, V]) Wait(ctx context.Context, required state.Offsets) error {
	return v.group.freshness.wait(ctx, required)
}

// Position returns the source offsets the view reflects.
func (v *KeyValueView[K, V]) Position() state.Offsets { return v.group.freshness.position() }
