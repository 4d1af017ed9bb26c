package topology

import (
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// Filter passes on the records for which keep returns true. Records with a null value pass. The key of a record with a
// null key is the zero value.
func (s Stream[K, V]) Filter(keep func(key K, value V) bool, opts ...NodeOption) Stream[K, V] {
	n := s.graph().node("filter", opts)
	n.require(keep != nil, "function")
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, V]]) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			h.Enter(n)
			if !it.NullValue && !keep(it.Key, it.Value) {
				return nil
			}
			return next(it)
		}
	})
	return Stream[K, V]{out: out, keys: s.keys}
}

// FilterNot passes on the records for which drop returns false. Records with a null value pass. The key of a record
// with a null key is the zero value.
func (s Stream[K, V]) FilterNot(drop func(key K, value V) bool, opts ...NodeOption) Stream[K, V] {
	n := s.graph().node("filter-not", opts)
	n.require(drop != nil, "function")
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, V]]) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			h.Enter(n)
			if !it.NullValue && drop(it.Key, it.Value) {
				return nil
			}
			return next(it)
		}
	})
	return Stream[K, V]{out: out, keys: s.keys}
}

// FilterRecord is [Stream.Filter] for a function that sees the whole record, with null keys, null values, the timestamp
// and the headers.
func (s Stream[K, V]) FilterRecord(keep func(r Record[K, V]) bool, opts ...NodeOption) Stream[K, V] {
	n := s.graph().node("filter-record", opts)
	n.require(keep != nil, "function")
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, V]]) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			h.Enter(n)
			if !keep(it.Record) {
				return nil
			}
			return next(it)
		}
	})
	return Stream[K, V]{out: out, keys: s.keys}
}

// Filter keeps the rows for which keep returns true. A row that stops passing is deleted: a change forwards a deletion
// if the row passed before, and nothing if it did not (docs/semantics.md, Changes from nothing to nothing). Timestamps
// and headers stay.
//
// The result has no store: an operator that joins with it looks up the row of this table and calls keep. To query the
// result, call [Table.Materialize]. A filtered versioned table stays versioned: an update that does not pass is
// forwarded as a deletion even if there was no row before, because it may end an older version (KIP-914).
func (t Table[K, V]) Filter(keep func(key K, value V) bool, opts ...NodeOption) Table[K, V] {
	n := t.graph().node("filter", opts)
	n.require(keep != nil, "function")
	return filterTable(t, n, keep)
}

// FilterNot is [Table.Filter] for the rows for which drop returns false.
func (t Table[K, V]) FilterNot(drop func(key K, value V) bool, opts ...NodeOption) Table[K, V] {
	n := t.graph().node("filter-not", opts)
	n.require(drop != nil, "function")
	return filterTable(t, n, func(key K, value V) bool { return !drop(key, value) })
}

func filterTable[K, V any](table Table[K, V], n *node, keep func(key K, value V) bool) Table[K, V] {
	versioned := table.view.history != nil
	out := filterChanges(table.out, n, versioned, func(key K, _ state.Window, value V) bool { return keep(key, value) })
	return Table[K, V]{out: out, keys: table.keys, view: filtered(table.view, n, keep)}
}

// filterChanges makes n a filter of the changes of a table, windowed or not.
func filterChanges[K, V any](
	from *port[change[K, V]], n *node, versioned bool, keep func(key K, window state.Window, value V) bool,
) *port[change[K, V]] {
	n.wantsOld = true
	return then(from, n, func(h *engine.Host, next receiver[change[K, V]]) receiver[change[K, V]] {
		filtered := new(change[K, V])
		return func(c *change[K, V]) error {
			h.Enter(n)
			passes := c.HasNew && keep(c.Key, c.Window, c.New)
			passed := c.HasOld && keep(c.Key, c.Window, c.Old)
			switch {
			case !passes && !passed && !versioned:
				return nil
			case passes == c.HasNew && passed == c.HasOld:
				return next(c)
			}
			*filtered = *c
			var none V
			if filtered.HasNew = passes; !passes {
				filtered.New = none
			}
			if filtered.HasOld = passed; !passed {
				filtered.Old = none
			}
			return next(filtered)
		}
	})
}

// filtered is the view of the rows that n keeps.
func filtered[K, V any](v *view[K, V], n *node, keep func(key K, value V) bool) *view[K, V] {
	result := computed(v, n, func(key K, value V) (V, bool) { return value, keep(key, value) })
	result.value = v.value
	return result
}
