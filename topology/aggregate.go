package topology

import (
	"reflect"

	"github.com/seed84377926/millrace/codecs"
)

// AggregateOption is an option of an aggregation with results of type A: [DeleteWhen], and without windows [Versioned] and [TTL].
type AggregateOption[A any] interface {
	applyAggregate(o *aggregateOptions)
}

type aggregateOptions struct {
	storeOptions
	gone any // func(A) bool
}

type deleteWhen[A any] func(A) bool

func (d deleteWhen[A]) applyAggregate(o *aggregateOptions) { o.gone = (func(A) bool)(d) }

// DeleteWhen deletes the row of a key when gone returns true for its new aggregate; the next record of the key starts
// again from the initial value.
func DeleteWhen[A any](gone func(aggregate A) bool) AggregateOption[A] { return deleteWhen[A](gone) }

// aggregateOptionsOf returns the function of DeleteWhen, nil if there is none, and how the results are kept.
func aggregateOptionsOf[A any](n *node, opts []AggregateOption[A]) (gone func(A) bool, store storeOptions) {
	var o aggregateOptions
	for _, opt := range opts {
		if opt == nil {
			n.builder.errorf(n, "option is nil")
			continue
		}
		opt.applyAggregate(&o)
	}
	if o.gone != nil {
		var ok bool
		if gone, ok = o.gone.(func(A) bool); !ok {
			n.builder.errorf(n, "DeleteWhen has a %T, and the results are of type %v", o.gone, reflect.TypeFor[A]())
		} else {
			n.require(gone != nil, "function of DeleteWhen")
		}
	}
	o.validate(n)
	return gone, o.storeOptions
}

// aggregation is what Aggregate and Count, windowed or not, have in common.
type aggregation[K, V, A any] struct {
	init  func() A
	add   func(key K, value V, aggregate A) A
	codec codecs.Codec[A]
	gone  func(A) bool // nil if results are never deleted
	store storeOptions
}

func newAggregation[K, V, A any](
	n *node, init func() A, add func(K, V, A) A, codec codecs.Codec[A], opts []AggregateOption[A],
) aggregation[K, V, A] {
	n.require(init != nil, "function for the initial value")
	n.require(add != nil, "function that adds a value")
	n.require(codec != nil, "codec of the results")
	gone, store := aggregateOptionsOf(n, opts)
	return aggregation[K, V, A]{init: init, add: add, codec: codec, gone: gone, store: store}
}

// counting is the aggregation that counts.
func counting[K, V any]() aggregation[K, V, int64] {
	return aggregation[K, V, int64]{
		init:  func() int64 { return 0 },
		add:   func(_ K, _ V, count int64) int64 { return count + 1 },
		codec: codecs.Int64,
	}
}

// apply completes a change that has the old value of the row, and its timestamp, with what it makes of it.
func (a *aggregation[K, V, A]) apply(it *item[K, V], c *change[K, A], timestamp int64) {
	aggregate := c.Old
	if c.HasOld {
		c.Timestamp = max(it.Timestamp, timestamp)
	} else {
		aggregate, c.Timestamp = a.init(), it.Timestamp
	}
	c.New = a.add(it.Key, it.Value, aggregate)
	c.HasNew = a.gone == nil || !a.gone(c.New)
	if !c.HasNew {
		var none A
		c.New = none
	}
}

// Aggregate keeps one value for each key: add of the record's key, its value and the aggregate so far, which is init()
// for the first record of a key. Every update is forwarded. The timestamp of a result is the largest of its records.
// Records with a null key or a null value are dropped.
//
// add must not modify the aggregate that it is given, but return a new one. The results are kept in a store with the given
// name.
func (g GroupedStream[K, V]) Aggregate[A any](
	name string, init func() A, add func(key K, value V, aggregate A) A, codec codecs.Codec[A], opts ...AggregateOption[A],
) Table[K, A] {
	n := g.stream.builder().namedNode("aggregate", name)
	return aggregate(g, n, newAggregation(n, init, add, codec, opts))
}

// aggregate makes n the aggregation of a grouped stream.
func aggregate[K, V, A any](g GroupedStream[K, V], n *node, a aggregation[K, V, A]) Table[K, A] {
	keys := g.stream.keys
	store := keepTable(n, keys.codec, a.codec, a.store)
	out := then(g.stream.out, n, func(t *Task, next receiver[change[K, A]]) receiver[item[K, V]] {
		rows, wantsOld := store.open(t), n.oldWanted()
		rows.forward(next)
		c := new(change[K, A])
		return func(it *item[K, V]) error {
			t.at = n
			switch {
			case it.NullKey:
				t.drop(n, DropNullKey)
				return nil
			case it.NullValue:
				t.drop(n, DropNullValue)
				return nil
			}
			encoded, err := keys.encode(t, n, it.key, it.Key)
			if err != nil {
				return err
			}
			if err := rows.advance(it.Timestamp); err != nil {
				return err
			}
			t.at = n
			*c = change[K, A]{Key: it.Key, Headers: it.Headers, key: it.key}
			var timestamp int64
			if c.Old, timestamp, c.HasOld, err = rows.get(encoded); err != nil {
				return t.nodeError(n, err)
			}
			a.apply(it, c, timestamp)
			kept, err := rows.set(encoded, c)
			if err != nil {
				return t.nodeError(n, err)
			}
			if !kept {
				t.drop(n, DropTooOld)
				return nil
			}
			if !c.HasOld && wantsOld {
				c.Old, c.HasOld, c.Began = a.init(), true, true
			}
			return next(c)
		}
	})
	return Table[K, A]{out: out, keys: keys, view: store.view()}
}
