package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// WindowedTable is the latest value for each key and window. It is made by windowed aggregations and by operators on their
// results.
type WindowedTable[K, V any] struct {
	out     *port[change[K, V]]
	keys    codecs.Codec[Windowed[K]]
	closing closing
	view    *windowView[K, V]
}

// closing says when the windows of a table close: when stream time has passed their end by wait.
type closing struct {
	wait   int64
	length int64 // of a window: how far its end may be ahead of stream time
	graced bool  // the user has said how long late records are waited for
}

// windowView is how the rows of a windowed table are read. See [view].
type windowView[K, V any] struct {
	value  codecs.Codec[V] // nil if no operator has said how values are encoded
	stores []*storeInfo
	open   func(t *Task) windowLookup[K, V]
}

// windowLookup returns the row of a window as it is now. encoded is the encoding of the key without the window.
type windowLookup[K, V any] func(w Windowed[K], encoded []byte) (value V, timestamp int64, ok bool, err error)

func (t WindowedTable[K, V]) builder() *Builder {
	if t.out == nil {
		panic("topology: method of the zero WindowedTable called; windowed tables are made by aggregations")
	}
	return t.out.node.builder
}

// Filter keeps the rows for which keep returns true; the others are deletions. Nothing is stored: the rows are those of the table
// that is filtered. Kafka Streams: KTable.filter, not materialized.
func (t WindowedTable[K, V]) Filter(keep func(key K, window state.Window, value V) bool, opts ...NodeOption) WindowedTable[K, V] {
	n := t.builder().node("filter", opts)
	n.passesOld = true
	n.require(keep != nil, "function")
	out := then(t.out, n, func(t *Task, next receiver[change[K, V]]) receiver[change[K, V]] {
		filtered, oldWanted := new(change[K, V]), n.oldWanted()
		return func(c *change[K, V]) error {
			t.at = n
			*filtered = *c
			var none V
			if filtered.HasNew = c.HasNew && keep(c.Key, c.Window, c.New); !filtered.HasNew {
				filtered.New = none
			}
			if filtered.HasOld = oldWanted && c.HasOld && keep(c.Key, c.Window, c.Old); !filtered.HasOld {
				filtered.Old = none
			}
			if oldWanted && !filtered.HasOld && !filtered.HasNew {
				return nil
			}
			return next(filtered)
		}
	})
	table := derived(t, out, func(w Windowed[K], value V) (V, bool) { return value, keep(w.Key, w.Window, value) })
	if table.view != nil {
		table.view.value = t.view.value
	}
	return table
}

// MapValues replaces each value by f of it. Nothing is stored: the rows are those of the table whose values are mapped. Kafka
// Streams: KTable.mapValues, not materialized.
func (t WindowedTable[K, V]) MapValues[V2 any](f func(value V) V2, opts ...NodeOption) WindowedTable[K, V2] {
	n := t.builder().node("map-values", opts)
	n.passesOld = true
	n.require(f != nil, "function")
	out := then(t.out, n, func(t *Task, next receiver[change[K, V2]]) receiver[change[K, V]] {
		mapped, oldWanted := new(change[K, V2]), n.oldWanted()
		return func(c *change[K, V]) error {
			t.at = n
			*mapped = change[K, V2]{
				Key: c.Key, Window: c.Window, HasOld: oldWanted && c.HasOld, HasNew: c.HasNew, Began: c.Began, Stale: c.Stale,
				Timestamp: c.Timestamp, Headers: c.Headers, key: c.key,
			}
			if mapped.HasNew {
				mapped.New = f(c.New)
			}
			if mapped.HasOld {
				mapped.Old = f(c.Old)
			}
			return next(mapped)
		}
	})
	return derived(t, out, func(_ Windowed[K], value V) (V2, bool) { return f(value), true })
}

// derived is a windowed table whose rows are computed from those of another one.
func derived[K, V, V2 any](
	from WindowedTable[K, V], out *port[change[K, V2]], compute func(w Windowed[K], value V) (V2, bool),
) WindowedTable[K, V2] {
	table := WindowedTable[K, V2]{out: out, keys: from.keys, closing: from.closing}
	if from.view == nil {
		return table // the windows were refused
	}
	table.view = &windowView[K, V2]{stores: from.view.stores, open: func(t *Task) windowLookup[K, V2] {
		lookup := from.view.open(t)
		return func(w Windowed[K], encoded []byte) (none V2, _ int64, _ bool, _ error) {
			value, timestamp, ok, err := lookup(w, encoded)
			if err != nil || !ok {
				return none, 0, false, err
			}
			result, ok := compute(w, value)
			if !ok {
				return none, 0, false, nil
			}
			return result, timestamp, true, nil
		}
	}}
	return table
}

// KeyedByWindow returns a windowed table as a table whose keys are keys with their windows, for all that tables can do. The keys
// are encoded as [TimeWindowedCodec] or [SessionWindowedCodec] does it, and records with such keys are where their keys without
// the windows are. A row is there as long as its window is retained, see [TimeWindows.Retention]; that it goes is no change of the
// table.
//
// (A function, since Go does not allow a method of a type to return the same type with longer arguments.)
func KeyedByWindow[K, V any](t WindowedTable[K, V], opts ...NodeOption) Table[Windowed[K], V] {
	n := t.builder().node("keyed-by-window", opts)
	n.passesOld = true
	out := then(t.out, n, func(_ *Task, next receiver[change[Windowed[K], V]]) receiver[change[K, V]] {
		keyed := &change[Windowed[K], V]{key: new(encodedKey)}
		return func(c *change[K, V]) error {
			keyed.key.reset()
			*keyed = change[Windowed[K], V]{
				Key: Windowed[K]{c.Key, c.Window}, Old: c.Old, New: c.New, HasOld: c.HasOld, HasNew: c.HasNew, Began: c.Began, Stale: c.Stale,
				Timestamp: c.Timestamp, Headers: c.Headers, key: keyed.key,
			}
			return next(keyed)
		}
	})
	table := Table[Windowed[K], V]{out: out, keys: keying[Windowed[K]]{codec: t.keys}}
	if t.view == nil {
		return table // the windows were refused
	}
	inner, _ := t.keys.(innerKeyer)
	table.view = &view[Windowed[K], V]{stores: t.view.stores, open: func(task *Task) lookup[Windowed[K], V] {
		lookup := t.view.open(task)
		return func(w Windowed[K], encoded []byte) (V, int64, bool, error) { return lookup(w, inner.innerKey(encoded)) }
	}}
	return table
}
