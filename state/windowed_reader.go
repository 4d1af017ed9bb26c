package state

import (
	"fmt"
	"iter"
	"slices"

	"github.com/seed84377926/millrace/codecs"
)

// WindowReader reads the committed rows of a window store, from any partition that holds them. It has no cache and no
// state, and is safe for concurrent use.
type WindowReader[K, V any] struct {
	name  string
	spec  Spec
	key   codecs.Codec[K]
	value codecs.Codec[V]
}

// NewWindowReader returns a reader of the window store that spec describes.
func NewWindowReader[K, V any](spec Spec, key codecs.Codec[K], value codecs.Codec[V]) *WindowReader[K, V] {
	return &WindowReader[K, V]{name: spec.Name, spec: spec, key: key, value: value}
}

// Get returns the value of the window of key that starts at start (milliseconds) and its timestamp, and false if there
// is none.
func (r *WindowReader[K, V]) Get(part Reader, key K, start int64) (value V, timestamp int64, ok bool, err error) {
	encoded, err := r.encode(key)
	if err != nil {
		return value, 0, false, err
	}
	rowKey := AppendWindowKey(AppendRowKey(nil, r.name, nil), encoded, start)
	return readRow(r.name, r.value, part, rowKey)
}

// Fetch yields the windows of key with from <= start < to (milliseconds) by ascending start, as they were when the loop
// began. An error ends the sequence.
func (r *WindowReader[K, V]) Fetch(part Reader, key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		encoded, err := r.encode(key)
		if err != nil {
			yield(WindowEntry[K, V]{}, err)
			return
		}
		if from >= to {
			return
		}
		low, high := AppendWindowKey(nil, encoded, from), AppendWindowKey(nil, encoded, to)
		for row, err := range scanRows(r.name, r.value, part, low, high) {
			if err != nil {
				yield(WindowEntry[K, V]{}, err)
				return
			}
			e := WindowEntry[K, V]{
				Key:       key,
				Window:    r.spec.WindowFrom(windowStart(row.key)),
				Value:     row.value,
				Timestamp: row.timestamp,
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// All yields the windows of all keys with from <= start < to (milliseconds), by ascending start and then in the order
// of their escaped keys. It finds them through the time order, so that only these windows are read. The loop yields the
// windows that existed when it began, each with its value at the time when the loop reaches it. An error ends the
// sequence.
func (r *WindowReader[K, V]) All(part Reader, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		if from >= to {
			return
		}
		prefix := appendLocalPrefix(nil, r.name)
		rowKey := AppendRowKey(nil, r.name, nil)
		namePrefix := len(rowKey)
		low, high := appendInt64(slices.Clip(prefix), from), appendInt64(slices.Clip(prefix), to)
		for local, err := range scanPartition(part, r.name, low, high) {
			var e WindowEntry[K, V]
			found := false
			if err == nil {
				rowKey = appendStoreKeyOfLocal(rowKey[:namePrefix], local.Key[len(prefix):], startSize)
				e, found, err = r.read(part, rowKey, rowKey[namePrefix:])
			}
			if err != nil {
				yield(WindowEntry[K, V]{}, fmt.Errorf("scan store %q: %w", r.name, err))
				return
			}
			// The window may have been deleted since the loop began.
			if found && !yield(e, nil) {
				return
			}
		}
	}
}

// read returns the window with the given row key and store key.
func (r *WindowReader[K, V]) read(part Reader, rowKey, storeKey []byte) (e WindowEntry[K, V], ok bool, err error) {
	encoded, start, err := SplitWindowKey(nil, storeKey)
	if err != nil {
		return e, false, err
	}
	if e.Key, err = decodeKey(r.name, r.key, encoded); err != nil {
		return e, false, err
	}
	e.Window = r.spec.WindowFrom(start)
	e.Value, e.Timestamp, ok, err = readRow(r.name, r.value, part, rowKey)
	return e, ok, err
}

func (r *WindowReader[K, V]) encode(key K) ([]byte, error) {
	encoded, err := r.key.Append(nil, key)
	if err != nil {
		return nil, fmt.Errorf("store %q: key: %w", r.name, err)
	}
	return encoded, nil
}
