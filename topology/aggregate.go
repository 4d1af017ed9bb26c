package topology

import (
	"reflect"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// Count counts the records of each key, in a store with the given name (values: codecs.Int64). Every update is
// forwarded. The timestamp of a count is the largest timestamp of its records. Records with a null key or a null value
// are dropped.
func (g GroupedStream[K, V]) Count(name string, opts ...AggregateOption[int64]) Table[K, int64] {
	n := g.stream.graph().namedNode("count", name)
	return aggregate(n, counting(n, opts), feed(g, countOne[K, V]))
}

// counting is the aggregation of [countOne].
func counting(n *node, opts []AggregateOption[int64]) aggregation[int64] {
	return newAggregation(n, func() int64 { return 0 }, codecs.Int64, opts)
}

func countOne[K, V any](_ K, _ V, count int64) int64 { return count + 1 }

// Reduce combines the values of each key into one value of the same type. It begins with the first value of a key, and
// calls reduce with the result so far and each further value. Every update is forwarded. The timestamp of a result is
// the largest timestamp of its records. Records with a null key or a null value are dropped.
//
// reduce must not modify what it is given, but return a new value. The results are kept in a store with the given name.
func (g GroupedStream[K, V]) Reduce(
	name string, reduce func(result, value V) V, codec codecs.Codec[V], opts ...AggregateOption[V],
) Table[K, V] {
	n := g.stream.graph().namedNode("reduce", name)
	n.require(reduce != nil, "function")
	return aggregate(n, newReduction(n, codec, opts), feedReduce(g, reduce))
}

// feedReduce returns g as a stream into the results of reduce.
func feedReduce[K, V any](g GroupedStream[K, V], reduce func(result, value V) V) feeder[K, V] {
	return feedRecords(g, func(it *item[K, V], result V, had bool) V {
		if !had {
			return it.Value
		}
		return reduce(result, it.Value)
	})
}

// AggregateOption is an option of an aggregation with results of type A: [DeleteWhen], and, without windows,
// [Versioned] and [TTL].
type AggregateOption[A any] interface {
	applyAggregate(o *aggregateOptions)
}

type deleteWhen[A any] func(A) bool

func (d deleteWhen[A]) applyAggregate(o *aggregateOptions) { o.gone = (func(A) bool)(d) }

// DeleteWhen deletes the row of a key, window or session when gone returns true for its new aggregate; the next record
// starts again from the initial value. (Kafka Streams: an aggregator or reducer that returns null.)
func DeleteWhen[A any](gone func(aggregate A) bool) AggregateOption[A] { return deleteWhen[A](gone) }

// aggregateOptionsOf returns the function of DeleteWhen, nil if there is none, and how the results are kept.
func aggregateOptionsOf[A any](n *node, opts []AggregateOption[A]) (gone func(A) bool, store storeOptions) {
	var o aggregateOptions
	for _, opt := range opts {
		if opt == nil {
			n.graph.errorf(n, "option is nil")
			continue
		}
		opt.applyAggregate(&o)
	}
	if o.gone != nil {
		var ok bool
		if gone, ok = o.gone.(func(A) bool); !ok {
			n.graph.errorf(n, "DeleteWhen has a %T, and the results are of type %v", o.gone, reflect.TypeFor[A]())
		} else {
			n.require(gone != nil, "function of DeleteWhen")
		}
	}
	o.validate(n)
	return gone, o.storeOptions
}

// Aggregate keeps one value for each key. add makes it from the record's key, its value and the aggregate so far, which
// is init() for the first record of a key. Every update is forwarded. The timestamp of a result is the largest
// timestamp of its records. Records with a null key or a null value are dropped.
//
// add must not modify the aggregate that it is given, but return a new one. The results are kept in a store with the
// given name.
func (g GroupedStream[K, V]) Aggregate[A any](
	name string, init func() A, add func(key K, value V, aggregate A) A, codec codecs.Codec[A], opts ...AggregateOption[A],
) Table[K, A] {
	n := g.stream.graph().namedNode("aggregate", name)
	a := newAggregation(n, init, codec, opts)
	n.require(add != nil, "function that adds a value")
	return aggregate(n, a, feed(g, add))
}

// aggregation says how aggregates begin and when they are deleted. Aggregate, Reduce and Count share it, with and
// without windows.
type aggregation[A any] struct {
	init  func() A // nil: there is no aggregate before the first record
	codec codecs.Codec[A]
	gone  func(A) bool // nil if results are never deleted
	store storeOptions
}

// newAggregation returns an aggregation that begins with init.
func newAggregation[A any](n *node, init func() A, codec codecs.Codec[A], opts []AggregateOption[A]) aggregation[A] {
	n.require(init != nil, "function for the initial value")
	a := newReduction(n, codec, opts)
	a.init = init
	return a
}

// newReduction returns an aggregation that begins with the first record.
func newReduction[A any](n *node, codec codecs.Codec[A], opts []AggregateOption[A]) aggregation[A] {
	n.require(codec != nil, "codec of the results")
	gone, store := aggregateOptionsOf(n, opts)
	return aggregation[A]{codec: codec, gone: gone, store: store}
}

// begin returns the aggregate before the first record.
func (a *aggregation[A]) begin() (aggregate A, ok bool) {
	if a.init == nil {
		return aggregate, false
	}
	return a.init(), true
}

// add returns the aggregate with a record added to it, and false if the result is to be deleted.
func (a *aggregation[A]) add(record func(A, bool) A, aggregate A, had bool) (result A, ok bool) {
	if !had {
		aggregate, had = a.begin()
	}
	result = record(aggregate, had)
	if a.gone != nil && a.gone(result) {
		var none A
		return none, false
	}
	return result, true
}

// entry is a record on its way into an aggregate, without the type of its value. It is owned and reused like an item.
type entry[K, A any] struct {
	Key                K
	NullKey, NullValue bool
	Timestamp          int64
	Headers            []engine.Header
	key                *encodedKey
	// add returns what the record makes of an aggregate. Without one, had is false.
	add func(aggregate A, had bool) A
}

// feeder is a grouped stream that goes into an aggregate, without the type of its values.
type feeder[K, A any] struct {
	keys keying[K]
	from *node
	// link connects the stream with n; shared says that n encodes its keys as the stream does.
	link func(n *node, shared bool, wire func(h *engine.Host) receiver[entry[K, A]])
}

// feed returns g as a stream into the aggregates that add makes.
func feed[K, V, A any](g GroupedStream[K, V], add func(key K, value V, aggregate A) A) feeder[K, A] {
	return feedRecords(g, func(it *item[K, V], aggregate A, _ bool) A { return add(it.Key, it.Value, aggregate) })
}

func feedRecords[K, V, A any](g GroupedStream[K, V], add func(it *item[K, V], aggregate A, had bool) A) feeder[K, A] {
	link := func(n *node, shared bool, wire func(h *engine.Host) receiver[entry[K, A]]) {
		link(g.stream.out, n, func(h *engine.Host) receiver[item[K, V]] {
			next, own := wire(h), new(encodedKey)
			var current *item[K, V]
			e := &entry[K, A]{add: func(aggregate A, had bool) A { return add(current, aggregate, had) }}
			return func(it *item[K, V]) error {
				current = it
				e.Key, e.NullKey, e.NullValue, e.Timestamp, e.Headers = it.Key, it.NullKey, it.NullValue, it.Timestamp, it.Headers
				e.key = it.key
				if !shared {
					own.reset()
					e.key = own
				}
				return next(e)
			}
		})
	}
	return feeder[K, A]{keys: g.stream.keys, from: g.stream.out.node, link: link}
}

// aggregator identifies the aggregate that several streams share in a task.
type aggregator struct{ n *node }

// collect connects streams with the aggregate of n. create is called once for each task: it returns the receiver of the
// entries of the stream with the given index.
func collect[K, A any](
	n *node, streams []feeder[K, A],
	create func(h *engine.Host, next receiver[change[K, A]]) func(stream int, e *entry[K, A]) error,
) *port[change[K, A]] {
	out := &port[change[K, A]]{node: n}
	for i, s := range streams {
		if i > 0 {
			streams[0].keys.sameEncoding(n, s.keys, s.from)
		}
		s.link(n, i == 0 || sameCodec(streams[0].keys.codec, s.keys.codec), func(h *engine.Host) receiver[entry[K, A]] {
			take := engine.Once(h, aggregator{n}, func() func(int, *entry[K, A]) error { return create(h, out.receiver(h)) })
			return func(e *entry[K, A]) error { return take(i, e) }
		})
	}
	return out
}

// aggregate makes n the aggregation of streams without windows.
func aggregate[K, A any](n *node, a aggregation[A], streams ...feeder[K, A]) Table[K, A] {
	keys := streams[0].keys
	store := keepTable(n, keys.codec, a.codec, a.store)
	out := collect(n, streams, func(h *engine.Host, next receiver[change[K, A]]) func(int, *entry[K, A]) error {
		rows, c, wantsOld := store.update(h, n, keys, next), new(change[K, A]), n.oldWanted()
		return func(_ int, e *entry[K, A]) error {
			h.Enter(n)
			switch {
			case e.NullKey:
				h.Drop(n, DropNullKey, e.Timestamp)
				return nil
			case e.NullValue:
				h.Drop(n, DropNullValue, e.Timestamp)
				return nil
			}
			*c = change[K, A]{Key: e.Key, Timestamp: e.Timestamp, Headers: e.Headers, key: e.key}
			encoded, timestamp, err := rows.begin(c)
			if err != nil {
				return err
			}
			if c.HasOld {
				c.Timestamp = max(timestamp, e.Timestamp)
			}
			c.New, c.HasNew = a.add(e.add, c.Old, c.HasOld)
			if kept, err := rows.end(encoded, c); err != nil || !kept {
				return err
			}
			if !c.HasOld && wantsOld {
				c.Old, c.HasOld = a.begin()
				c.Began = c.HasOld
			}
			return next(c)
		}
	})
	return Table[K, A]{out: out, keys: keys, view: store.view()}
}
