package topology

import "github.com/seed84377926/millrace/codecs"

// Count counts the records of each key, in a store with the given name (values: codecs.Int64). Every update is forwarded.
// The timestamp of a count is the largest of its records. Records with a null key or a null value are dropped.
func (g GroupedStream[K, V]) Count(name string, opts ...AggregateOption[int64]) Table[K, int64] {
	n := g.stream.builder().namedNode("count", name)
	return aggregate(n, counting(n, opts), feed(g, countOne[K, V]))
}

// counting is the aggregation of [countOne].
func counting(n *node, opts []AggregateOption[int64]) aggregation[int64] {
	return newAggregation(n, func() int64 { return 0 }, codecs.Int64, opts)
}

func countOne[K, V any](_ K, _ V, count int64) int64 { return count + 1 }
