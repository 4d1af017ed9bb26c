package state

import (
	"fmt"
	"iter"
	"math"

	"github.com/seed84377926/millrace/codecs"
)

// VersionReader reads the committed rows of a versioned store, from any partition that holds them. It has no cache and
// no state, and is safe for concurrent use. It does not know stream time, so it also sees versions before history that
// have not been removed yet.
type VersionReader[K, V any] struct {
	name  string
	key   codecs.Codec[K]
	value codecs.Codec[version[V]]
}

// NewVersionReader returns a reader of the versioned store with the given name.
func NewVersionReader[K, V any](name string, key codecs.Codec[K], value codecs.Codec[V]) *VersionReader[K, V] {
	return &VersionReader[K, V]{name: name, key: key, value: versionCodec[V]{value}}
}

// Get returns the value of key that is valid now and the time (milliseconds) from which it is valid, and false if there
// is none.
func (r *VersionReader[K, V]) Get(part Reader, key K) (value V, from int64, ok bool, err error) {
	encoded, err := r.key.Append(nil, key)
	if err != nil {
		return value, 0, false, fmt.Errorf("store %q: key: %w", r.name, err)
	}
	rowKey := AppendVersionKey(AppendRowKey(nil, r.name, nil), encoded, math.MaxInt64)
	v, from, ok, err := readRow(r.name, r.value, part, rowKey)
	return v.value, from, ok, err
}

// GetAsOf returns the value of key that was valid at the given time and the time from which it was valid (both
// milliseconds), and false if there was none or it has been removed.
func (r *VersionReader[K, V]) GetAsOf(part Reader, key K, at int64) (value V, from int64, ok bool, err error) {
	if at == math.MaxInt64 {
		return r.Get(part, key)
	}
	for e, err := range r.Versions(part, key, at, at+1) {
		return e.Value, e.ValidFrom, err == nil, err
	}
	return value, 0, false, nil
}

// Versions yields the versions of key that were valid at any time t with from <= t < to (milliseconds), the oldest
// first, as they were when the loop began. Deletions show as gaps. An error ends the sequence.
func (r *VersionReader[K, V]) Versions(part Reader, key K, from, to int64) iter.Seq2[VersionEntry[K, V], error] {
	return func(yield func(VersionEntry[K, V], error) bool) {
		low, high, err := versionBounds(r.name, r.key, key, from)
		if err != nil {
			yield(VersionEntry[K, V]{}, err)
			return
		}
		yieldVersions(key, to, scanRows(r.name, r.value, part, low, high), yield)
	}
}

// Latest yields the values that are valid now, in the order of the escaped encodings of their keys, from lo on, as they
// were when the loop began. A nil lo means from the first key on. It reads all versions. An error ends the sequence.
func (r *VersionReader[K, V]) Latest(part Reader, lo *K) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		low, _, err := encodeBounds(r.name, r.key, lo, nil)
		if err != nil {
			yield(Entry[K, V]{}, err)
			return
		}
		if low != nil {
			low = appendEscaped(nil, low)
		}
		for row, err := range scanRows(r.name, r.value, part, low, nil) {
			var e Entry[K, V]
			if err == nil && (versionEnd(row.key) != math.MaxInt64 || row.value.deleted) {
				continue
			}
			if err == nil {
				e.Value, e.Timestamp = row.value.value, row.timestamp
				e.Key, err = r.keyOf(row.key)
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

func (r *VersionReader[K, V]) keyOf(storeKey []byte) (key K, err error) {
	encoded, _, err := SplitVersionKey(nil, storeKey)
	if err != nil {
		return key, err
	}
	return decodeKey(r.name, r.key, encoded)
}

// versionBounds returns the bounds of the store keys of the versions of key that end after from.
func versionBounds[K any](store string, codec codecs.Codec[K], key K, from int64) (low, high []byte, err error) {
	encoded, err := codec.Append(nil, key)
	if err != nil {
		return nil, nil, fmt.Errorf("store %q: key: %w", store, err)
	}
	escaped := appendEscaped(nil, encoded)
	high = afterEscaped(escaped)
	return appendInt64(escaped, min(from, math.MaxInt64-1)+1), high, nil
}

// yieldVersions yields the versions among rows that begin before to.
func yieldVersions[K, V any](
	key K, to int64, rows iter.Seq2[scanned[version[V]], error], yield func(VersionEntry[K, V], error) bool,
) {
	for r, err := range rows {
		if err != nil {
			yield(VersionEntry[K, V]{}, err)
			return
		}
		if r.value.deleted {
			continue
		}
		if r.timestamp >= to {
			return
		}
		e := VersionEntry[K, V]{Key: key, Value: r.value.value, ValidFrom: r.timestamp, ValidTo: versionEnd(r.key)}
		if !yield(e, nil) {
			return
		}
	}
}
