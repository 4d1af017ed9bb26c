package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// Count counts the rows of each group, in a store with the given name (values: codecs.Int64). Every update is
// forwarded. A group that has lost its last row is counted as 0, as in Kafka Streams. The timestamps are as for
// [GroupedTable.Aggregate].
func (g GroupedTable[K, V]) Count(name string, opts ...AggregateOption[int64]) Table[K, int64] {
	n := g.graph().namedNode("count", name)
	gone, store := aggregateOptionsOf(n, opts)
	return aggregateRows(g, n, groupAggregation[K, V, int64]{
		init:     func() int64 { return 0 },
		add:      func(_ K, _ V, count int64) int64 { return count + 1 },
		subtract: func(_ K, _ V, count int64) int64 { return count - 1 },
		codec:    codecs.Int64,
		gone:     gone,
	}, store)
}

// Reduce combines the values of each group into one value of the same type. It begins with the first value. It calls
// add with the result so far and a value that comes, and subtract with the result so far and a value that goes. Nothing
// is subtracted from a group without a result. Everything else is as for [GroupedTable.Aggregate].
func (g GroupedTable[K, V]) Reduce(
	name string, add, subtract func(result, value V) V, opts ...AggregateOption[V],
) Table[K, V] {
	n := g.graph().namedNode("reduce", name)
	n.require(add != nil, "function that adds a value")
	n.require(subtract != nil, "function that subtracts a value")
	gone, store := aggregateOptionsOf(n, opts)
	return aggregateRows(g, n, groupAggregation[K, V, V]{
		first:    func(value V) V { return value },
		add:      func(_ K, value, result V) V { return add(result, value) },
		subtract: func(_ K, value, result V) V { return subtract(result, value) },
		codec:    g.value,
		gone:     gone,
	}, store)
}

// Aggregate keeps one value for each group, in a store with the given name (docs/semantics.md, Regrouped rows). add
// makes it from the group's key, a value that comes and the aggregate so far, which is init() for the first value;
// subtract makes it from the key, a value that goes and the aggregate so far. Nothing is subtracted from a group
// without an aggregate: its deletion is forwarded instead. Every update is forwarded. The timestamp of a result is the
// largest timestamp of its records.
//
// [DeleteWhen] deletes the row of a group. If subtract makes an aggregate that is to be deleted and a value comes in
// the same update, add begins with no aggregate. (Kafka Streams: adder and subtractor return null.)
//
// add and subtract must not modify the aggregate that they are given, but return a new one.
func (g GroupedTable[K, V]) Aggregate[A any](
	name string, init func() A, add, subtract func(key K, value V, aggregate A) A, codec codecs.Codec[A],
	opts ...AggregateOption[A],
) Table[K, A] {
	n := g.graph().namedNode("aggregate", name)
	n.require(init != nil, "function for the initial value")
	n.require(add != nil, "function that adds a value")
	n.require(subtract != nil, "function that subtracts a value")
	n.require(codec != nil, "codec of the results")
	gone, store := aggregateOptionsOf(n, opts)
	return aggregateRows(g, n, groupAggregation[K, V, A]{
		init: init, add: add, subtract: subtract, codec: codec, gone: gone,
	}, store)
}

// groupAggregation is the part that Aggregate, Reduce and Count of a grouped table share.
type groupAggregation[K, V, A any] struct {
	init          func() A        // nil: first makes the first aggregate
	first         func(value V) A // of a value
	add, subtract func(key K, value V, aggregate A) A
	codec         codecs.Codec[A]
	gone          func(A) bool // nil if results are never deleted
}

// aggregateRows makes n the aggregation of a grouped table.
func aggregateRows[K, V, A any](
	g GroupedTable[K, V], n *node, a groupAggregation[K, V, A], o storeOptions,
) Table[K, A] {
	keys := g.updates.keys
	store := keepTable(n, keys.codec, a.codec, o)
	out := then(g.updates.out, n, func(h *engine.Host, next receiver[change[K, A]]) receiver[item[K, update[V]]] {
		rows, c := store.update(h, n, keys, next), new(change[K, A])
		return func(it *item[K, update[V]]) error {
			h.Enter(n)
			*c = change[K, A]{Key: it.Key, Timestamp: it.Timestamp, Headers: it.Headers, key: it.key}
			encoded, timestamp, err := rows.begin(c)
			if err != nil {
				return err
			}
			if c.HasOld && !it.Value.hasOld && !it.Value.hasNew {
				return nil
			}
			a.apply(it, c, timestamp)
			if kept, err := rows.end(encoded, c); err != nil || !kept {
				return err
			}
			return next(c)
		}
	})
	return Table[K, A]{out: out, keys: keys, view: store.view()}
}

// apply completes a change with an update of the group. The change has the old row of the group; timestamp is the
// timestamp of this row.
func (a *groupAggregation[K, V, A]) apply(it *item[K, update[V]], c *change[K, A], timestamp int64) {
	if c.HasOld {
		c.Timestamp = max(it.Timestamp, timestamp)
	}
	c.New, c.HasNew = c.Old, c.HasOld
	if it.Value.hasOld && c.HasNew {
		c.New = a.subtract(it.Key, it.Value.old, c.New)
		a.deleteGone(c)
	}
	if it.Value.hasNew {
		switch {
		case c.HasNew:
			c.New = a.add(it.Key, it.Value.new, c.New)
		case a.init == nil:
			c.New = a.first(it.Value.new)
		default:
			c.New = a.add(it.Key, it.Value.new, a.init())
		}
		c.HasNew = true
		a.deleteGone(c)
	}
}

func (a *groupAggregation[K, V, A]) deleteGone(c *change[K, A]) {
	if a.gone != nil && a.gone(c.New) {
		var none A
		c.New, c.HasNew = none, false
	}
}
