package topology

import "github.com/seed84377926/millrace/codecs"

// Reduce combines the values of each key into one, of the same type: the first value of a key as it is, then reduce of the result so
// far and the next value. Every update is forwarded. The timestamp of a result is the largest of its records. Records
// with a null key or a null value are dropped.
//
// reduce must not modify what it is given, but return a new value. The results are kept in a store with the given name.
func (g GroupedStream[K, V]) Reduce(
	name string, reduce func(result, value V) V, codec codecs.Codec[V], opts ...AggregateOption[V],
) Table[K, V] {
	n := g.stream.builder().namedNode("reduce", name)
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
