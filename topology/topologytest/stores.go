package topologytest

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// Rows commits and returns all rows of a key-value store, or of a global table, in the order of their encoded keys.
func Rows[K, V any](d *Driver, store string, key codecs.Codec[K], value codecs.Codec[V]) []state.Entry[K, V] {
	d.t.Helper()
	var rows []state.Entry[K, V]
	d.scan(store, state.KeyValueKind, func(_ state.Spec, storeKey []byte, timestamp int64, data []byte) (err error) {
		row := state.Entry[K, V]{Timestamp: timestamp}
		row.Key, row.Value, err = decoded(key, storeKey, value, data)
		rows = append(rows, row)
		return err
	})
	return rows
}

// Windows commits and returns all rows of a window store, in the order of their encoded keys, then of time.
func Windows[K, V any](d *Driver, store string, key codecs.Codec[K], value codecs.Codec[V]) []state.WindowEntry[K, V] {
	d.t.Helper()
	var rows []state.WindowEntry[K, V]
	d.scan(store, state.WindowKind, func(spec state.Spec, storeKey []byte, timestamp int64, data []byte) error {
		encoded, start, err := state.SplitWindowKey([]byte{}, storeKey)
		if err != nil {
			return err
		}
		row := state.WindowEntry[K, V]{Window: spec.WindowFrom(start), Timestamp: timestamp}
		row.Key, row.Value, err = decoded(key, encoded, value, data)
		rows = append(rows, row)
		return err
	})
	return rows
}

// Sessions commits and returns all rows of a session store, in the order of their encoded keys, then of their ends.
func Sessions[K, V any](d *Driver, store string, key codecs.Codec[K], value codecs.Codec[V]) []state.SessionEntry[K, V] {
	d.t.Helper()
	var rows []state.SessionEntry[K, V]
	d.scan(store, state.SessionKind, func(_ state.Spec, storeKey []byte, timestamp int64, data []byte) error {
		encoded, session, err := state.SplitSessionKey([]byte{}, storeKey)
		if err != nil {
			return err
		}
		row := state.SessionEntry[K, V]{Session: session, Timestamp: timestamp}
		row.Key, row.Value, err = decoded(key, encoded, value, data)
		rows = append(rows, row)
		return err
	})
	return rows
}

// Versions commits and returns all versions of all keys of a versioned store, in the order of their encoded keys, the
// oldest first.
func Versions[K, V any](d *Driver, store string, key codecs.Codec[K], value codecs.Codec[V]) []state.VersionEntry[K, V] {
	d.t.Helper()
	parts, _ := d.store(store, state.VersionedKind)
	var rows []state.VersionEntry[K, V]
	var last struct {
		key  []byte
		part state.Partition
	}
	reader := state.NewVersionReader(store, codecs.Bytes, value)
	for _, raw := range d.rows(store, parts) {
		encoded, _, err := state.SplitVersionKey([]byte{}, raw.key)
		d.must(err)
		if last.part == raw.part && bytes.Equal(last.key, encoded) {
			continue
		}
		last.key, last.part = encoded, raw.part
		decoded, err := key.Decode(encoded)
		d.must(err)
		for v, err := range reader.Versions(raw.part, encoded, math.MinInt64, math.MaxInt64) {
			d.must(err)
			rows = append(rows, state.VersionEntry[K, V]{Key: decoded, Value: v.Value, ValidFrom: v.ValidFrom, ValidTo: v.ValidTo})
		}
	}
	return rows
}

// IndexRows commits and returns all rows that an index leads to, in the order of their encoded index keys, then of
// their encoded keys. The codecs are the codecs of the index and of the table.
func IndexRows[I, K, V any](
	d *Driver, name string, index codecs.Codec[I], key codecs.Codec[K], value codecs.Codec[V],
) []state.IndexEntry[I, K, V] {
	d.t.Helper()
	parts, spec := d.store(name, state.IndexKind)
	_, table := d.storeOf(spec.Of)
	reader, err := state.NewIndexReader(spec, table, index, key, value)
	d.must(err)
	type encoded struct {
		state.IndexEntry[I, K, V]
		at []byte
	}
	var rows []encoded
	for _, part := range parts {
		for e, err := range reader.Range(part, nil, nil) {
			d.must(err)
			i, err := index.Append([]byte{}, e.Index)
			d.must(err)
			k, err := key.Append([]byte{}, e.Key)
			d.must(err)
			rows = append(rows, encoded{e, state.AppendIndexKey(nil, i, k)})
		}
	}
	slices.SortStableFunc(rows, func(a, b encoded) int { return bytes.Compare(a.at, b.at) })
	entries := make([]state.IndexEntry[I, K, V], len(rows))
	for i, row := range rows {
		entries[i] = row.IndexEntry
	}
	return entries
}

// storeEnd returns a key above all rows of the store with that prefix: the byte that ends the name is one higher.
func storeEnd(prefix []byte) []byte {
	return append(slices.Clone(prefix[:len(prefix)-1]), prefix[len(prefix)-1]+1)
}

// scan commits and calls f for each row of a store, in the order of their store keys.
func (d *Driver) scan(
	store string, kind state.Kind, f func(spec state.Spec, storeKey []byte, timestamp int64, data []byte) error,
) {
	d.t.Helper()
	parts, spec := d.store(store, kind)
	for _, raw := range d.rows(store, parts) {
		timestamp, data, err := state.SplitRowValue(raw.value)
		if err == nil {
			err = f(spec, raw.key, timestamp, data)
		}
		if err != nil {
			d.t.Fatalf("store %q: row %q: %v", store, raw.key, err)
		}
	}
}

// storeRow is a row of a store, with its store key and its partition.
type storeRow struct {
	key, value []byte
	part       state.Partition
}

// rows returns the rows of a store in all its partitions, in the order of their store keys.
func (d *Driver) rows(store string, parts []state.Partition) []storeRow {
	d.t.Helper()
	prefix := state.AppendRowKey(nil, store, nil)
	var rows []storeRow
	for _, part := range parts {
		for raw, err := range part.Scan(prefix, storeEnd(prefix)) {
			d.must(err)
			rows = append(rows, storeRow{slices.Clone(raw.Key[len(prefix):]), slices.Clone(raw.Value), part})
		}
	}
	slices.SortStableFunc(rows, func(a, b storeRow) int { return bytes.Compare(a.key, b.key) })
	return rows
}

func decoded[K, V any](
	key codecs.Codec[K], encodedKey []byte, value codecs.Codec[V], encoded []byte,
) (k K, v V, err error) {
	if k, err = key.Decode(encodedKey); err != nil {
		return k, v, fmt.Errorf("key: %w", err)
	}
	if v, err = value.Decode(encoded); err != nil {
		return k, v, fmt.Errorf("value: %w", err)
	}
	return k, v, nil
}

// store commits and returns the partitions that hold the store.
func (d *Driver) store(name string, kind state.Kind) (parts []state.Partition, spec state.Spec) {
	d.t.Helper()
	d.Commit()
	for _, g := range d.globals {
		if g.name == name && kind == state.KeyValueKind {
			return []state.Partition{g.part}, state.Spec{Name: name, Kind: kind}
		}
	}
	if parts, spec = d.storeOf(name); parts == nil || spec.Kind != kind {
		d.t.Fatalf("topology %q has no %v store %q", d.top.Name(), kind, name)
	}
	return parts, spec
}

// storeOf returns the partitions that hold the store, none if there is no such store.
func (d *Driver) storeOf(name string) (parts []state.Partition, spec state.Spec) {
	for _, r := range d.runners {
		for _, s := range r.sub.Stores() {
			if s.Name == name {
				parts, spec = append(parts, r.part), s
			}
		}
	}
	return parts, spec
}
