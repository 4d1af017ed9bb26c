package state

import (
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
)

// KeyValue is a store of one row for each key, with the write-back cache of its task above a partition. It belongs to
// one goroutine.
//
// Values are kept decoded and returned without a copy. A caller may modify a value that holds pointers, maps or slices
// only if it then calls Put for the key before any other use of the store.
type KeyValue[K, V any] struct {
	rows *cache[V]
	key  codecs.Codec[K]
	buf  []byte // scratch for encoded keys
}

var _ Store = (*KeyValue[int, int])(nil)

// Entry is one row of a key-value store.
type Entry[K, V any] struct {
	Key       K
	Value     V
	Timestamp int64 // milliseconds
}

// NewKeyValue returns the key-value store with the given name, in the partition part. A nil budget means a budget of
// its own with [DefaultBudgetBytes]. It fails if the name is not a store name.
func NewKeyValue[K, V any](
	name string, part Partition, budget *Budget, key codecs.Codec[K], value codecs.Codec[V],
) (*KeyValue[K, V], error) {
	spec := Spec{Name: name, Kind: KeyValueKind}
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &KeyValue[K, V]{rows: newCache(spec, part, budget, value), key: key}, nil
}

// Get returns the value of key and its timestamp in milliseconds, and false if there is none.
func (s *KeyValue[K, V]) Get(key K) (value V, timestamp int64, ok bool, err error) {
	if err := s.encode(key); err != nil {
		return value, 0, false, err
	}
	return s.GetEncoded(s.buf)
}

// GetEncoded is Get for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *KeyValue[K, V]) GetEncoded(key []byte) (value V, timestamp int64, ok bool, err error) {
	r, err := s.rows.get(key)
	if err != nil {
		return value, 0, false, err
	}
	return r.value, r.timestamp, r.present, nil
}

// Put sets the value of key. The store keeps value until it is replaced or evicted: the caller must not modify what it
// points to.
func (s *KeyValue[K, V]) Put(key K, value V, timestamp int64) error {
	if err := s.encode(key); err != nil {
		return err
	}
	return s.PutEncoded(s.buf, value, timestamp)
}

// PutEncoded is Put for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *KeyValue[K, V]) PutEncoded(key []byte, value V, timestamp int64) error {
	s.rows.put(key, value, timestamp)
	return nil
}

// Delete removes key, which need not exist.
func (s *KeyValue[K, V]) Delete(key K) error {
	if err := s.encode(key); err != nil {
		return err
	}
	return s.DeleteEncoded(s.buf)
}

// DeleteEncoded is Delete for a key that is encoded already. It does not keep key.
func (s *KeyValue[K, V]) DeleteEncoded(key []byte) error {
	s.rows.delete(key)
	return nil
}

// Range yields the rows with lo <= key < hi in the order of their encoded keys, including uncommitted changes. Nil
// bounds are open. The loop body may change the store; the loop sees changes ahead of its position. The body must not
// flush, commit or roll back. An error ends the sequence.
func (s *KeyValue[K, V]) Range(lo, hi *K) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		low, high, err := encodeBounds(s.rows.spec.Name, s.key, lo, hi)
		if err != nil {
			yield(Entry[K, V]{}, err)
			return
		}
		for r, err := range s.rows.scan(low, high) {
			e := Entry[K, V]{Value: r.value, Timestamp: r.timestamp}
			if err == nil {
				e.Key, err = decodeKey(s.rows.spec.Name, s.key, r.key)
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
}

// Spec implements [Store].
func (s *KeyValue[K, V]) Spec() Spec { return s.rows.spec }

// Flush implements [Store].
func (s *KeyValue[K, V]) Flush(b *Batch) error { return s.rows.flush(b) }

// Committed implements [Store].
func (s *KeyValue[K, V]) Committed() { s.rows.committed() }

// Rollback implements [Store].
func (s *KeyValue[K, V]) Rollback() { s.rows.rollback() }

// DirtyBytes implements [Store].
func (s *KeyValue[K, V]) DirtyBytes() int64 { return s.rows.account.dirty }

// Close implements [Store].
func (s *KeyValue[K, V]) Close() { s.rows.close() }

func (s *KeyValue[K, V]) encode(key K) (err error) {
	if s.buf, err = s.key.Append(s.buf[:0], key); err != nil {
		return fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	return nil
}

// encodeBounds encodes the bounds of a range; a nil bound stays nil.
func encodeBounds[K any](store string, codec codecs.Codec[K], lo, hi *K) (low, high []byte, err error) {
	if lo != nil {
		if low, err = codec.Append([]byte{}, *lo); err != nil {
			return nil, nil, fmt.Errorf("store %q: lower bound: %w", store, err)
		}
	}
	if hi != nil {
		if high, err = codec.Append([]byte{}, *hi); err != nil {
			return nil, nil, fmt.Errorf("store %q: upper bound: %w", store, err)
		}
	}
	return low, high, nil
}

func decodeKey[K any](store string, codec codecs.Codec[K], data []byte) (K, error) {
	key, err := codec.Decode(data)
	if err != nil {
		return key, fmt.Errorf("store %q: key %q: %w", store, data, err)
	}
	return key, nil
}
