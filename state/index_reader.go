package state

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
)

// ErrIndexIncomplete says that an index was added to a store with rows and is not built from all of them yet.
var ErrIndexIncomplete = errors.New("the index is being built")

// IndexReader reads the rows of a key-value store, or the latest versions of a versioned store, through an [Index] of
// it. It has no cache and no state, and is safe for concurrent use.
type IndexReader[I, K, V any] struct {
	name  string
	of    string
	index codecs.Codec[I]
	key   codecs.Codec[K]
	row   func(part Reader, key K) (value V, timestamp int64, ok bool, err error)
}

// IndexEntry is a row that an index leads to.
type IndexEntry[I, K, V any] struct {
	Index     I
	Key       K
	Value     V
	Timestamp int64 // milliseconds; in a versioned store, the time from which the value is valid
}

// NewIndexReader returns a reader of the index that spec describes. table describes the store that the index leads to.
// NewIndexReader fails if spec does not describe an index, or if table does not describe the store of that index.
func NewIndexReader[I, K, V any](
	spec, table Spec, index codecs.Codec[I], key codecs.Codec[K], value codecs.Codec[V],
) (*IndexReader[I, K, V], error) {
	if err := spec.validateKind(IndexKind); err != nil {
		return nil, err
	}
	r := &IndexReader[I, K, V]{name: spec.Name, of: spec.Of, index: index, key: key}
	switch {
	case table.Name != spec.Of:
		return nil, fmt.Errorf("store %q is an index of store %q, not of %q", spec.Name, spec.Of, table.Name)
	case table.Kind == KeyValueKind:
		r.row = NewKeyValueReader(table.Name, key, value).Get
	case table.Kind == VersionedKind:
		r.row = NewVersionReader(table.Name, key, value).Get
	default:
		return nil, fmt.Errorf("store %q is a %v store, whose rows no index leads to", table.Name, table.Kind)
	}
	return r, nil
}

// Find yields the rows of part that have the index key, in the order of their encoded keys, as they were when the loop
// began. An error ends the sequence; the error is [ErrIndexIncomplete] if the index is not built.
func (r *IndexReader[I, K, V]) Find(part Partition, index I) iter.Seq2[IndexEntry[I, K, V], error] {
	return func(yield func(IndexEntry[I, K, V], error) bool) {
		encoded, err := r.index.Append([]byte{}, index)
		if err != nil {
			yield(IndexEntry[I, K, V]{}, fmt.Errorf("store %q: index key: %w", r.name, err))
			return
		}
		prefix := appendEscaped(nil, encoded)
		r.read(part, prefix, prefixEnd(prefix), yield)
	}
}

// Range yields the rows of part with lo <= index key < hi, in the order of their encoded index keys and then of their
// encoded keys, as Find does. Nil bounds are open. A row with several index keys is yielded for each.
func (r *IndexReader[I, K, V]) Range(part Partition, lo, hi *I) iter.Seq2[IndexEntry[I, K, V], error] {
	return func(yield func(IndexEntry[I, K, V], error) bool) {
		low, high, err := encodeBounds(r.name, r.index, lo, hi)
		if err != nil {
			yield(IndexEntry[I, K, V]{}, err)
			return
		}
		low, high = indexBounds(low, high)
		r.read(part, low, high, yield)
	}
}

// read yields the rows that belong to the index rows from low to high, all from one snapshot.
func (r *IndexReader[I, K, V]) read(part Partition, low, high []byte, yield func(IndexEntry[I, K, V], error) bool) {
	ended := false
	err := part.Snapshot(func(at Reader) error {
		if err := r.checkBuilt(at); err != nil {
			return err
		}
		for row, err := range scanRows(r.name, codecs.Codec[struct{}](noValue{}), at, low, high) {
			if err != nil {
				return err
			}
			e, err := r.follow(at, row.key)
			if err != nil {
				return err
			}
			if ended = !yield(e, nil); ended {
				return nil
			}
		}
		return nil
	})
	if err != nil && !ended {
		yield(IndexEntry[I, K, V]{}, err)
	}
}

// checkBuilt returns an error if the index is not built. A partition in which no task has ever committed has no rows,
// so its index is complete.
func (r *IndexReader[I, K, V]) checkBuilt(at Reader) error {
	progress, begun, err := readIndexProgress(at, r.name)
	if err != nil || progress.complete {
		return err
	}
	if !begun {
		_, begun, err = at.Get(nil, []byte(PositionKey))
		if err != nil || !begun {
			return err
		}
	}
	return fmt.Errorf("store %q: %w from the rows of %q; try again in a while", r.name, ErrIndexIncomplete, r.of)
}

// follow reads the row that belongs to a row of the index.
func (r *IndexReader[I, K, V]) follow(at Reader, storeKey []byte) (e IndexEntry[I, K, V], err error) {
	index, key, err := SplitIndexKey(nil, storeKey)
	if err != nil {
		return e, fmt.Errorf("store %q: %w", r.name, err)
	}
	if e.Index, err = decodeKey(r.name, r.index, index); err != nil {
		return e, err
	}
	if e.Key, err = decodeKey(r.name, r.key, key); err != nil {
		return e, err
	}
	var ok bool
	if e.Value, e.Timestamp, ok, err = r.row(at, e.Key); err == nil && !ok {
		err = &DanglingIndexError{Store: r.name, Of: r.of, Index: index, Key: bytes.Clone(key)}
	}
	return e, err
}
