package topology

import (
	"slices"

	"github.com/seed84377926/millrace/codecs"
)

// CogroupedStream is several grouped streams whose records are aggregated together, into one value for each key
// (KIP-150). It is made by [GroupedStream.Cogroup].
type CogroupedStream[K, A any] struct {
	first   *node // of the first stream
	streams []feeder[K, A]
}

// Cogroup begins an aggregate of several streams with equal keys: add returns the aggregate with a record of this
// stream added to it. [CogroupedStream.Cogroup] adds the next stream. All streams must be partitioned alike: by the
// same key with the same codec, and with the same number of partitions.
//
// Streams are identified by their position in the list. In a windowed aggregate, whether a record is late depends on
// the records of its own stream only.
func (g GroupedStream[K, V]) Cogroup[A any](add func(key K, value V, aggregate A) A) CogroupedStream[K, A] {
	requireAdd(&node{graph: g.stream.graph(), kind: "cogroup", site: callSite()}, add)
	return CogroupedStream[K, A]{first: g.stream.out.node, streams: []feeder[K, A]{feed(g, add)}}
}

// Cogroup adds a stream; its values may be of another type.
func (c CogroupedStream[K, A]) Cogroup[V any](
	g GroupedStream[K, V], add func(key K, value V, aggregate A) A,
) CogroupedStream[K, A] {
	n := &node{graph: c.graph(), kind: "cogroup", site: callSite()}
	requireAdd(n, add)
	if g.stream.out == nil {
		n.graph.errorf(n, "the stream is the zero GroupedStream; grouped streams are made by GroupByKey and GroupBy")
		return c
	}
	c.streams = append(slices.Clip(c.streams), feed(g, add))
	return c
}

func requireAdd[K, V, A any](n *node, add func(K, V, A) A) {
	n.require(add != nil, "function that adds a value")
}

// Aggregate keeps one value for each key, in a store with the given name. The function of a record's stream makes it
// from the record's key, its value and the aggregate so far, which is init() for the first record of a key in any
// stream. Everything else is as for [GroupedStream.Aggregate].
func (c CogroupedStream[K, A]) Aggregate(
	name string, init func() A, codec codecs.Codec[A], opts ...AggregateOption[A],
) Table[K, A] {
	n := c.graph().namedNode("cogroup", name)
	return aggregate(n, newAggregation(n, init, codec, opts), c.streams...)
}

// WindowedBy puts the records of each key into windows: [Tumbling], [Hopping] or [Sliding], or windows by the calendar,
// such as [Days].
func (c CogroupedStream[K, A]) WindowedBy(w Windows) TimeWindowedCogroup[K, A] {
	validateWindows(w, &node{graph: c.graph(), kind: "windowed-by", site: callSite()})
	return TimeWindowedCogroup[K, A]{cogrouped: c, windows: w}
}

// WindowedBySessions puts the records of each key into [Sessions].
func (c CogroupedStream[K, A]) WindowedBySessions(w SessionWindows) SessionWindowedCogroup[K, A] {
	w.validate(&node{graph: c.graph(), kind: "windowed-by-sessions", site: callSite()})
	return SessionWindowedCogroup[K, A]{cogrouped: c, windows: w}
}

func (c CogroupedStream[K, A]) graph() *graph {
	if c.first == nil {
		panic("topology: method of the zero CogroupedStream called; cogrouped streams are made by GroupedStream.Cogroup")
	}
	return c.first.graph
}

// TimeWindowedCogroup is several grouped streams that are aggregated window by window.
type TimeWindowedCogroup[K, A any] struct {
	cogrouped CogroupedStream[K, A]
	windows   Windows
}

// Aggregate keeps one value for each key and window, in a window store with the given name. See
// [CogroupedStream.Aggregate] and [TimeWindowedStream.Aggregate].
func (c TimeWindowedCogroup[K, A]) Aggregate(
	name string, init func() A, codec codecs.Codec[A], opts ...AggregateOption[A],
) WindowedTable[K, A] {
	n := c.cogrouped.graph().namedNode("windowed-cogroup", name)
	return aggregateWindows(n, c.windows, emission{}, newAggregation(n, init, codec, opts), c.cogrouped.streams...)
}

// SessionWindowedCogroup is several grouped streams that are aggregated session by session.
type SessionWindowedCogroup[K, A any] struct {
	cogrouped CogroupedStream[K, A]
	windows   SessionWindows
}

// Aggregate keeps one value for each key and session, in a session store with the given name. See
// [CogroupedStream.Aggregate] and [SessionWindowedStream.Aggregate].
func (c SessionWindowedCogroup[K, A]) Aggregate(
	name string, init func() A, merge func(key K, a, b A) A, codec codecs.Codec[A], opts ...AggregateOption[A],
) WindowedTable[K, A] {
	n := c.cogrouped.graph().namedNode("session-cogroup", name)
	n.require(merge != nil, "function that merges sessions")
	return aggregateSessions(n, c.windows, emission{}, newAggregation(n, init, codec, opts), merge, c.cogrouped.streams...)
}
