package topology

import "github.com/seed84377926/millrace/codecs"

// GroupedStream is a stream whose records with equal keys are in one partition, ready to be aggregated. It is made by
// [Stream.GroupByKey] and [Stream.GroupBy].
type GroupedStream[K, V any] struct{ stream Stream[K, V] }

// GroupByKey groups the records by their key. Each record must be in the partition that the partitioner chooses for its
// key. [Stream.Rekey] breaks this, so call [Stream.Repartition] after it and before GroupByKey.
func (s Stream[K, V]) GroupByKey() GroupedStream[K, V] {
	n := &node{graph: s.graph(), kind: "group-by-key", site: callSite()}
	s.keys.copartitioned(n)
	return GroupedStream[K, V]{s}
}

// GroupBy groups the records by a new key. It stands for Rekey, Repartition through the topic <app>-<name>-repartition,
// and GroupByKey. Records with a null value have no new key and are dropped.
func (s Stream[K, V]) GroupBy[K2 any](
	name string, f func(key K, value V) K2, key codecs.Codec[K2], value codecs.Codec[V], opts ...RepartitionOption,
) GroupedStream[K2, V] {
	n := s.graph().node("group-by", nil)
	n.require(f != nil, "function")
	return GroupedStream[K2, V]{through(rekey(s, n, f), "group-by", name, key, value, opts)}
}
