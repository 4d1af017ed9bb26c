package topologytest

import (
	"fmt"
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
	// One above the byte that ends the name is above all rows of the store.
	end := append(slices.Clone(prefix[:len(prefix)-1]), prefix[len(prefix)-1]+1)
	for raw, err := range part.Scan(prefix, end) {
		d.must(err)
		row, err := decodeWindow(raw, len(prefix), size, key, value)
		if err != nil {
			d.t.Fatalf("store %q: row %q: %v", store, raw.Key, err)
		}
		rows = append(rows, row)
	}
	return rows
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
