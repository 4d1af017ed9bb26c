package views

import (
	"context"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// KeyValueView is the typed view of a key-value store. It is safe for concurrent use.
type KeyValueView[K, V any] struct {
	typed[K]

	reader *state.KeyValueReader[K, V]
}

// KeyValue returns the typed view of a key-value store of vs. The codecs must be the ones that the topology uses.
func KeyValue[K, V any](vs *Views, store string, key codecs.Codec[K], value codecs.Codec[V]) (*KeyValueView[K, V], error) {
	group, _, err := vs.find(store, state.KeyValueKind)
	if err != nil {
		return nil, err
	}
	return &KeyValueView[K, V]{typed: typed[K]{group, key}, reader: state.NewKeyValueReader(store, key, value)}, nil
}

// Get returns the value of key and whether it exists.
func (v *KeyValueView[K, V]) Get(ctx context.Context, key K) (value V, ok bool, err error) {
	part, err := v.partitionOf(ctx, key)
	if err != nil {
		return value, false, err
	}
	value, _, ok, err = v.reader.Get(part, key)
	return value, ok, err
}

// Range yields the entries with lo <= key < hi, over all partitions, in the order of their encoded keys. A bound that
// is nil is open. It ends after the first error.
func (v *KeyValueView[K, V]) Range(ctx context.Context, lo, hi *K) iter.Seq2[state.Entry[K, V], error] {
	return merge(ctx, v.group, v.appendKey, func(part state.Partition) iter.Seq2[state.Entry[K, V], error] {
		return v.reader.Range(part, lo, hi)
	})
}

// Prefix yields the entries whose encoded key begins with prefix, over all partitions, in the order of their encoded
// keys. It ends after the first error.
func (v *KeyValueView[K, V]) Prefix(ctx context.Context, prefix []byte) iter.Seq2[state.Entry[K, V], error] {
	return merge(ctx, v.group, v.appendKey, func(part state.Partition) iter.Seq2[state.Entry[K, V], error] {
		return v.reader.Prefix(part, prefix)
	})
}

func (v *KeyValueView[K, V]) appendKey(dst []byte, e state.Entry[K, V]) ([]byte, error) {
	return v.key.Append(dst, e.Key)
}
