package topologytest

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// Rows commits and returns all rows of a key-value store, in the order of their encoded keys.
func Rows[K, V any](d *Driver, store string, key codecs.Codec[K], value codecs.Codec[V]) []state.Entry[K, V] {
	d.t.Helper()
	part, _ := d.store(store, state.KeyValueKind)
	var rows []state.Entry[K, V]
	for row, err := range state.NewKeyValueReader(store, key, value).Range(part, nil, nil) {
		d.must(err)
		rows = append(rows, row)
	}
	return rows
}

// Windows commits and returns all rows of a window store, in the order of their encoded keys, then of time.
func Windows[K, V any](d *Driver, store string, key codecs.Codec[K], value codecs.Codec[V]) []state.WindowEntry[K, V] {
	d.t.Helper()
	part, spec := d.store(store, state.WindowKind)
	size := spec.WindowSize.Milliseconds()
	var rows []state.WindowEntry[K, V]
	prefix := state.AppendRowKey(nil, store, nil)
	for raw, err := range part.Scan(prefix, storeEnd(prefix)) {
		d.must(err)
		row, err := decodeWindow(raw, len(prefix), size, key, value)
		if err != nil {
			d.t.Fatalf("store %q: row %q: %v", store, raw.Key, err)
		}
		rows = append(rows, row)
	}
	return rows
}

// Versions commits and returns all versions of all keys of a versioned store, in the order of their encoded keys, the oldest
// first.
func Versions[K, V any](d *Driver, store string, key codecs.Codec[K], value codecs.Codec[V]) []state.VersionEntry[K, V] {
	d.t.Helper()
	part, _ := d.store(store, state.VersionedKind)
	prefix := state.AppendRowKey(nil, store, nil)
	var keys [][]byte
	for raw, err := range part.Scan(prefix, storeEnd(prefix)) {
		d.must(err)
		encoded, _, err := state.SplitVersionKey([]byte{}, raw.Key[len(prefix):])
		d.must(err)
		if len(keys) == 0 || !bytes.Equal(keys[len(keys)-1], encoded) {
			keys = append(keys, encoded)
		}
	}
	reader := state.NewVersionReader(store, codecs.Bytes, value)
	var rows []state.VersionEntry[K, V]
	for _, encoded := range keys {
		decoded, err := key.Decode(encoded)
		d.must(err)
		for v, err := range reader.Versions(part, encoded, math.MinInt64, math.MaxInt64) {
			d.must(err)
			rows = append(rows, state.VersionEntry[K, V]{Key: decoded, Value: v.Value, ValidFrom: v.ValidFrom, ValidTo: v.ValidTo})
		}
	}
	return rows
}

// storeEnd returns a key above all rows of the store with that prefix: one above the byte that ends the name.
func storeEnd(prefix []byte) []byte {
	return append(slices.Clone(prefix[:len(prefix)-1]), prefix[len(prefix)-1]+1)
}

func decodeWindow[K, V any](
	raw state.Row, prefix int, size int64, key codecs.Codec[K], value codecs.Codec[V],
) (row state.WindowEntry[K, V], err error) {
	encoded, start, err := state.SplitWindowKey([]byte{}, raw.Key[prefix:])
	if err != nil {
		return row, err
	}
	timestamp, data, err := state.SplitRowValue(raw.Value)
	if err != nil {
		return row, err
	}
	row.Window, row.Timestamp = state.Window{Start: start, End: start + size}, timestamp
	if row.Key, err = key.Decode(encoded); err != nil {
		return row, fmt.Errorf("key: %w", err)
	}
	if row.Value, err = value.Decode(data); err != nil {
		return row, fmt.Errorf("value: %w", err)
	}
	return row, nil
}

// store commits and returns the partition that holds the store.
func (d *Driver) store(name string, kind state.Kind) (state.Partition, state.Spec) {
	d.t.Helper()
	d.Commit()
	for _, r := range d.runners {
		for _, spec := range r.sub.Stores() {
			if spec.Name == name && spec.Kind == kind {
				return r.part, spec
			}
		}
	}
	d.t.Fatalf("topology %q has no %v store %q", d.top.Name(), kind, name)
	return nil, state.Spec{}
}
