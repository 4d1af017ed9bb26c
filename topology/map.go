package topology

import (
	"fmt"

	"github.com/seed84377926/millrace/topology/engine"
)

// Map replaces the key and the value of each record by the results of f. For a record with a null key, f gets the zero
// value of K. For a record with a null value f is not called: it becomes a record with a null key and a null value, see
// [Stream.MapRecord].
//
// The keys are new, as after [Stream.Rekey]: to group or join the stream, send it through [Stream.Repartition] first.
// If only the values change, use [Stream.MapValuesWithKey], which needs no repartition.
func (s Stream[K, V]) Map[K2, V2 any](f func(key K, value V) (K2, V2), opts ...NodeOption) Stream[K2, V2] {
	n := s.graph().node("map", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K2, V2]]) receiver[item[K, V]] {
		mapped := &item[K2, V2]{key: new(encodedKey)}
		return func(it *item[K, V]) error {
			mapped.key.reset()
			mapped.Record = Record[K2, V2]{
				NullKey: it.NullValue, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			if !it.NullValue {
				h.Enter(n)
				mapped.Key, mapped.Value = f(it.Key, it.Value)
			}
			return next(mapped)
		}
	})
	return Stream[K2, V2]{out: out, keys: keying[K2]{changed: n.site}}
}

// MapRecord replaces each record by the result of f. It does what [Stream.Map] cannot do: f sees records with a null
// key or a null value and may return such records, and it may change the timestamp and the headers. The headers of the
// argument are shared: return other headers instead of modifying them. A negative timestamp is a [engine.RecordError].
//
// The keys count as new, as after [Stream.Rekey]: to group or join the stream, send it through [Stream.Repartition]
// first.
func (s Stream[K, V]) MapRecord[K2, V2 any](f func(r Record[K, V]) Record[K2, V2], opts ...NodeOption) Stream[K2, V2] {
	n := s.graph().node("map-record", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K2, V2]]) receiver[item[K, V]] {
		mapped := &item[K2, V2]{key: new(encodedKey)}
		return func(it *item[K, V]) error {
			h.Enter(n)
			if err := mapped.set(h, n, f(it.Record)); err != nil {
				return err
			}
			return next(mapped)
		}
	})
	return Stream[K2, V2]{out: out, keys: keying[K2]{changed: n.site}}
}

// set copies a record made by a function of the user into the item.
func (it *item[K, V]) set(h *engine.Host, n *node, r Record[K, V]) error {
	if r.Timestamp < 0 {
		return h.RecordError(n, fmt.Errorf("the function made a record with timestamp %d; want none below 0", r.Timestamp))
	}
	if err := h.CheckMade(n, r.Timestamp); err != nil {
		return err
	}
	it.key.reset()
	it.Record = r
	var none Record[K, V]
	if r.NullKey {
		it.Key = none.Key
	}
	if r.NullValue {
		it.Value = none.Value
	}
	return nil
}

// MapValues replaces each value by the result of f. A null value stays null: f is not called.
func (s Stream[K, V]) MapValues[V2 any](f func(value V) V2, opts ...NodeOption) Stream[K, V2] {
	n := s.graph().node("map-values", opts)
	n.require(f != nil, "function")
	return mapValues(s, n, func(_ K, value V) V2 { return f(value) })
}

// mapValues makes n the operator that replaces the values of a stream.
func mapValues[K, V, V2 any](s Stream[K, V], n *node, f func(key K, value V) V2) Stream[K, V2] {
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, V2]]) receiver[item[K, V]] {
		mapped := new(item[K, V2])
		return func(it *item[K, V]) error {
			mapped.Record = Record[K, V2]{
				Key: it.Key, NullKey: it.NullKey, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			mapped.key = it.key
			if !it.NullValue {
				h.Enter(n)
				mapped.Value = f(it.Key, it.Value)
			}
			return next(mapped)
		}
	})
	return Stream[K, V2]{out: out, keys: s.keys}
}

// MapValuesWithKey replaces each value by the result of f for the key and the value. The key of a record with a null
// key is the zero value. A null value stays null: f is not called.
func (s Stream[K, V]) MapValuesWithKey[V2 any](f func(key K, value V) V2, opts ...NodeOption) Stream[K, V2] {
	n := s.graph().node("map-values-with-key", opts)
	n.require(f != nil, "function")
	return mapValues(s, n, f)
}

// MapValues replaces the value of each row by the result of f. A deletion stays a deletion: f is not called. Timestamps
// and headers stay.
//
// The result has no store: an operator that joins with it looks up the row of this table and calls f. To query the
// result, or if f is slow, call [Table.Materialize]. A versioned table stays versioned.
func (t Table[K, V]) MapValues[V2 any](f func(value V) V2, opts ...NodeOption) Table[K, V2] {
	n := t.graph().node("map-values", opts)
	n.require(f != nil, "function")
	return mapTable(t, n, func(_ K, value V) V2 { return f(value) })
}

// MapValuesWithKey is [Table.MapValues] for a function that also sees the key.
func (t Table[K, V]) MapValuesWithKey[V2 any](f func(key K, value V) V2, opts ...NodeOption) Table[K, V2] {
	n := t.graph().node("map-values", opts)
	n.require(f != nil, "function")
	return mapTable(t, n, f)
}

func mapTable[K, V, V2 any](table Table[K, V], n *node, f func(key K, value V) V2) Table[K, V2] {
	return Table[K, V2]{out: mapChanges(table.out, n, f), keys: table.keys, view: mapped(table.view, n, f)}
}

// mapChanges makes n the operator that maps the values of the changes of a table, windowed or not.
func mapChanges[K, V, V2 any](from *port[change[K, V]], n *node, f func(key K, value V) V2) *port[change[K, V2]] {
	n.passesOld = true
	return then(from, n, func(h *engine.Host, next receiver[change[K, V2]]) receiver[change[K, V]] {
		mapped, wantsOld := new(change[K, V2]), n.oldWanted()
		return func(c *change[K, V]) error {
			h.Enter(n)
			*mapped = change[K, V2]{
				Key: c.Key, Window: c.Window, HasNew: c.HasNew, Began: c.Began, Stale: c.Stale,
				Timestamp: c.Timestamp, Headers: c.Headers, key: c.key,
			}
			if c.HasNew {
				mapped.New = f(c.Key, c.New)
			}
			if mapped.HasOld = wantsOld && c.HasOld; mapped.HasOld {
				mapped.Old = f(c.Key, c.Old)
			}
			return next(mapped)
		}
	})
}

// mapped is the view of the rows whose values n maps.
func mapped[K, V, V2 any](v *view[K, V], n *node, f func(key K, value V) V2) *view[K, V2] {
	return computed(v, n, func(key K, value V) (V2, bool) { return f(key, value), true })
}
