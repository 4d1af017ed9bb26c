package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// WindowedTable is the latest value for each key and window. It is made by windowed aggregations and by operators on
// their results.
type WindowedTable[K, V any] struct {
	out     *port[change[K, V]]
	keys    codecs.Codec[Windowed[K]]
	closing closing
	view    *view[Windowed[K], V] // asked with the encodings of keys without their windows
}

// closing says when the windows of a table close: each one when stream time exceeds its end by wait.
type closing struct {
	wait    int64
	length  int64 // of a window: how far its end may be ahead of stream time
	graced  bool  // the user has given a grace
	keeping *keeping
}

func (t WindowedTable[K, V]) graph() *graph {
	if t.out == nil {
		panic("topology: method of the zero WindowedTable called; windowed tables are made by aggregations")
	}
	return t.out.node.graph
}

// Filter keeps the rows for which keep returns true, see [Table.Filter]. It stores nothing: rows are read from the
// table before the filter.
func (t WindowedTable[K, V]) Filter(keep func(key K, window state.Window, value V) bool, opts ...NodeOption) WindowedTable[K, V] {
	n := t.graph().node("filter", opts)
	n.require(keep != nil, "function")
	view := filtered(t.view, n, func(w Windowed[K], value V) bool { return keep(w.Key, w.Window, value) })
	return WindowedTable[K, V]{out: filterChanges(t.out, n, false, keep), keys: t.keys, closing: t.closing, view: view}
}

// MapValues replaces each value by the result of f, see [Table.MapValues]. It stores nothing: rows are computed from
// the table whose values are mapped.
func (t WindowedTable[K, V]) MapValues[V2 any](f func(value V) V2, opts ...NodeOption) WindowedTable[K, V2] {
	n := t.graph().node("map-values", opts)
	n.require(f != nil, "function")
	out := mapChanges(t.out, n, func(_ K, value V) V2 { return f(value) })
	view := mapped(t.view, n, func(_ Windowed[K], value V) V2 { return f(value) })
	return WindowedTable[K, V2]{out: out, keys: t.keys, closing: t.closing, view: view}
}

// KeyedByWindow returns a windowed table as a table whose keys are keys with windows, so that all operators of tables
// can be used. The keys are encoded as [TimeWindowedCodec] or [SessionWindowedCodec] encodes them. Records with such
// keys are in the partition of the key without its window. A row exists as long as its window is retained, see
// [TimeWindows.Retention]. When the retention ends, no change is forwarded.
//
// (It is a function because Go does not allow a method to return its own type with longer type arguments.)
func KeyedByWindow[K, V any](t WindowedTable[K, V], opts ...NodeOption) Table[Windowed[K], V] {
	n := t.graph().node("keyed-by-window", opts)
	n.passesOld = true
	out := then(t.out, n, func(_ *engine.Host, next receiver[change[Windowed[K], V]]) receiver[change[K, V]] {
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
	inner, _ := t.keys.(innerKeyer)
	view := &view[Windowed[K], V]{value: t.view.value, stores: t.view.stores, open: func(h *engine.Host) lookup[Windowed[K], V] {
		lookup := t.view.open(h)
		return func(w Windowed[K], encoded []byte) (V, int64, bool, error) { return lookup(w, inner.innerKey(encoded)) }
	}}
	return Table[Windowed[K], V]{out: out, keys: keying[Windowed[K]]{codec: t.keys}, view: view}
}
