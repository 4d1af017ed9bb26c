package state

import (
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
)

// KeyValueReader reads the committed rows of a key-value store, from any partition that holds them. It has no cache and
// no state, and is safe for concurrent use.
type KeyValueReader[K, V any] struct {
	name  string
	key   codecs.Codec[K]
	value codecs.Codec[V]
}

// NewKeyValueReader returns a reader of the key-value store with the given name.
func NewKeyValueReader[K, V any](name string, key codecs.Codec[K], value codecs.Codec[V]) *KeyValueReader[K, V] {
	return &KeyValueReader[K, V]{name: name, key: key, value: value}
}

// Get returns the value of key in the partition part and its timestamp in milliseconds, and false if there is none.
func (r *KeyValueReader[K, V]) Get(part Reader, key K) (value V, timestamp int64, ok bool, err error) {
	rowKey, err := r.key.Append(AppendRowKey(nil, r.name, nil), key)
	if err != nil {
		return value, 0, false, fmt.Errorf("store %q: key: %w", r.name, err)
	}
	return readRow(r.name, r.value, part, rowKey)
}

// Range yields the rows of part with lo <= key < hi in the order of their encoded keys, as they were when the loop
// began. Nil bounds are open. An error ends the sequence.
func (r *KeyValueReader[K, V]) Range(part Reader, lo, hi *K) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		low, high, err := encodeBounds(r.name, r.key, lo, hi)
		if err != nil {
			yield(Entry[K, V]{}, err)
			return
		}
		r.scan(part, low, high, yield)
	}
}

// Prefix yields the rows of part whose encoded key starts with prefix, as Range does.
func (r *KeyValueReader[K, V]) Prefix(part Reader, prefix []byte) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) { r.scan(part, prefix, prefixEnd(prefix), yield) }
}

func (r *KeyValueReader[K, V]) scan(part Reader, low, high []byte, yield func(Entry[K, V], error) bool) {
	for row, err := range scanRows(r.name, r.value, part, low, high) {
		e := Entry[K, V]{Value: row.value, Timestamp: row.timestamp}
		if err == nil {
			e.Key, err = decodeKey(r.name, r.key, row.key)
		}
		if err != nil {
			yield(Entry[K, V]{}, err)
			return
		}
		if !yield(e, nil) {
			return
		}
	}
}
