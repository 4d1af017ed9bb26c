package views

import (
	"bytes"
	"context"
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/murmur2"
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
	if err := ctx.Err(); err != nil {
		return value, false, err
	}
	encoded, err := v.key.Append(nil, key)
	if err != nil {
		return value, false, fmt.Errorf("view %s: %w", v.group.group, err)
	}
	part := v.group.tables[murmur2.Partition(encoded, v.group.partitions)].part
	value, _, ok, err = v.reader.Get(part, key)
	return value, ok, err
}

// Range yields the entries with lo <= key < hi in the order of their encoded keys, over all partitions; nil leaves that
// end open. It ends after the first error.
func (v *KeyValueView[K, V]) Range(ctx context.Context, lo, hi *K) iter.Seq2[state.Entry[K, V], error] {
	return v.merge(ctx, func(part state.Partition) iter.Seq2[state.Entry[K, V], error] { return v.reader.Range(part, lo, hi) })
}

// Prefix yields the entries whose encoded key begins with prefix, in the order of their encoded keys, over all
// partitions. It ends after the first error.
func (v *KeyValueView[K, V]) Prefix(ctx context.Context, prefix []byte) iter.Seq2[state.Entry[K, V], error] {
	return v.merge(ctx, func(part state.Partition) iter.Seq2[state.Entry[K, V], error] { return v.reader.Prefix(part, prefix) })
}

// Wait blocks until the view covers the offsets required. When ctx ends first it returns a *BehindError.
func (v *KeyValueView[K, V]) Wait(ctx context.Context, required state.Offsets) error {
	return v.group.freshness.wait(ctx, required)
}

// Position returns the source offsets the view reflects.
func (v *KeyValueView[K, V]) Position() state.Offsets { return v.group.freshness.position() }

// merge yields the entries of all partitions in key order.
func (v *KeyValueView[K, V]) merge(ctx context.Context, read func(state.Partition) iter.Seq2[state.Entry[K, V], error]) iter.Seq2[state.Entry[K, V], error] {
	return func(yield func(state.Entry[K, V], error) bool) {
		var heads []*mergeHead[K, V]
		for _, table := range v.group.tables {
			next, stop := iter.Pull2(read(table.part))
			defer stop()
			head := &mergeHead[K, V]{next: next, codec: v.key}
			if more, err := head.advance(); err != nil {
				yield(state.Entry[K, V]{}, err)
				return
			} else if more {
				heads = append(heads, head)
			}
		}
		for len(heads) > 0 {
			if err := ctx.Err(); err != nil {
				yield(state.Entry[K, V]{}, err)
				return
			}
			first := 0
			for i, head := range heads {
				if bytes.Compare(head.key, heads[first].key) < 0 {
					first = i
				}
			}
			if !yield(heads[first].entry, nil) {
				return
			}
			more, err := heads[first].advance()
			if err != nil {
				yield(state.Entry[K, V]{}, err)
				return
			}
			if !more {
				heads = append(heads[:first], heads[first+1:]...)
			}
		}
	}
}

// mergeHead is the next entry of one partition.
type mergeHead[K, V any] struct {
	next  func() (state.Entry[K, V], error, bool)
	codec codecs.Codec[K]
	entry state.Entry[K, V]
	key   []byte
}

func (h *mergeHead[K, V]) advance() (more bool, err error) {
	entry, err, ok := h.next()
	if err != nil || !ok {
		return false, err
	}
	h.entry = entry
	h.key, err = h.codec.Append(h.key[:0], entry.Key)
	return err == nil, err
}
