package topology

// Count counts the records of each key, in a store with the given name (values: codecs.Int64). Every update is forwarded.
// The timestamp of a count is the largest of its records. Records with a null key or a null value are dropped.
func (g GroupedStream[K, V]) Count(name string, opts ...AggregateOption[int64]) Table[K, int64] {
	n := g.stream.builder().namedNode("count", name)
	a := counting[K, V]()
	a.gone, a.store = aggregateOptionsOf(n, opts)
	return aggregate(g, n, a)
}
