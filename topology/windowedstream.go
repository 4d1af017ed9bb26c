package topology

import (
	"github.com/seed84377926/millrace/codecs"
)

// TimeWindowedStream is a grouped stream whose records are aggregated window by window. It is made by
// [GroupedStream.WindowedBy].
type TimeWindowedStream[K, V any] struct {
	grouped  GroupedStream[K, V]
	windows  Windows
	emission emission
}

// WindowedBy puts the records of each key into windows: [Tumbling], [Hopping] or [Sliding], or windows by the calendar,
// such as [Days].
func (g GroupedStream[K, V]) WindowedBy(w Windows) TimeWindowedStream[K, V] {
	validateWindows(w, &node{graph: g.stream.graph(), kind: "windowed-by", site: callSite()})
	return TimeWindowedStream[K, V]{grouped: g, windows: w}
}

func validateWindows(w Windows, n *node) {
	if w == nil {
		n.graph.errorf(n, "the windows are nil")
		return
	}
	w.validate(n)
}

// Count counts the records of each key and window, in a window store with the given name (values: codecs.Int64). It
// treats records as [TimeWindowedStream.Aggregate] does.
func (s TimeWindowedStream[K, V]) Count(name string, opts ...AggregateOption[int64]) WindowedTable[K, int64] {
	n := s.grouped.stream.graph().namedNode("windowed-count", name)
	return aggregateWindows(n, s.windows, s.emission, counting(n, opts), feed(s.grouped, countOne[K, V]))
}

// Reduce combines the values of each key and window into one value of the same type, in a window store with the given
// name. It begins with the first value of a window, and calls reduce with the result so far and each further value. It
// treats records as [TimeWindowedStream.Aggregate] does; if the value of the first record is null, the result begins
// with the zero value.
func (s TimeWindowedStream[K, V]) Reduce(
	name string, reduce func(result, value V) V, codec codecs.Codec[V], opts ...AggregateOption[V],
) WindowedTable[K, V] {
	n := s.grouped.stream.graph().namedNode("windowed-reduce", name)
	n.require(reduce != nil, "function")
	return aggregateWindows(n, s.windows, s.emission, newReduction(n, codec, opts), feedReduce(s.grouped, reduce))
}

// Aggregate keeps one value for each key and window, in a window store with the given name. add makes it from the
// record's key, its value and the aggregate so far, which is init() for the first record. Every update is forwarded,
// unless [TimeWindowedStream.EmitOnClose] says otherwise. The timestamp of a result is the largest timestamp of its
// records.
//
// A record is dropped if its key is null, or if its window is over, grace included, by the stream time of this
// operator. A record with a null value is not dropped: add is called with the zero value of V, and Count counts the
// record. Only [SlidingWindows] also drop null values. add must not modify the aggregate that it is given, but return a
// new one.
func (s TimeWindowedStream[K, V]) Aggregate[A any](
	name string, init func() A, add func(key K, value V, aggregate A) A, codec codecs.Codec[A], opts ...AggregateOption[A],
) WindowedTable[K, A] {
	n := s.grouped.stream.graph().namedNode("windowed-aggregate", name)
	a := newAggregation(n, init, codec, opts)
	n.require(add != nil, "function that adds a value")
	return aggregateWindows(n, s.windows, s.emission, a, feed(s.grouped, add))
}

// aggregateWindows makes n the aggregation of streams in windows.
func aggregateWindows[K, A any](n *node, w Windows, e emission, a aggregation[A], streams ...feeder[K, A]) WindowedTable[K, A] {
	a.store.refuse(n)
	switch w := w.(type) {
	case TimeWindows:
		return aggregateTimeWindows(n, w.spec(n.name), w.millis(), w.graced, e, a, streams)
	case CalendarWindows:
		return aggregateTimeWindows(n, w.spec(n.name), w.millis(), w.graced, e, a, streams)
	case SlidingWindows:
		return aggregateSlidingWindows(n, w, e, a, streams)
	default: // nil, a mistake of the caller
		return WindowedTable[K, A]{
			out: &port[change[K, A]]{node: n}, closing: closing{graced: true}, view: &view[Windowed[K], A]{value: a.codec},
		}
	}
}

// SessionWindowedStream is a grouped stream whose records are aggregated session by session. It is made by
// [GroupedStream.WindowedBySessions].
type SessionWindowedStream[K, V any] struct {
	grouped  GroupedStream[K, V]
	windows  SessionWindows
	emission emission
}

// WindowedBySessions puts the records of each key into [Sessions].
func (g GroupedStream[K, V]) WindowedBySessions(w SessionWindows) SessionWindowedStream[K, V] {
	w.validate(&node{graph: g.stream.graph(), kind: "windowed-by-sessions", site: callSite()})
	return SessionWindowedStream[K, V]{grouped: g, windows: w}
}

// Count counts the records of each key and session, in a session store with the given name (values: codecs.Int64). It
// treats records as [SessionWindowedStream.Aggregate] does.
func (s SessionWindowedStream[K, V]) Count(name string, opts ...AggregateOption[int64]) WindowedTable[K, int64] {
	n := s.grouped.stream.graph().namedNode("session-count", name)
	merge := func(_ K, a, b int64) int64 { return a + b }
	return aggregateSessions(n, s.windows, s.emission, counting(n, opts), merge, feed(s.grouped, countOne[K, V]))
}

// Reduce combines the values of each key and session into one value of the same type, in a session store with the given
// name. It begins with the first value of a session, and calls reduce with the result so far and each further value.
// When a late record joins sessions, reduce combines their results, too. It treats records as
// [SessionWindowedStream.Aggregate] does.
func (s SessionWindowedStream[K, V]) Reduce(
	name string, reduce func(result, value V) V, codec codecs.Codec[V], opts ...AggregateOption[V],
) WindowedTable[K, V] {
	n := s.grouped.stream.graph().namedNode("session-reduce", name)
	n.require(reduce != nil, "function")
	merge := func(_ K, a, b V) V { return reduce(a, b) }
	return aggregateSessions(n, s.windows, s.emission, newReduction(n, codec, opts), merge, feedReduce(s.grouped, reduce))
}

// Aggregate keeps one value for each key and session, in a session store with the given name. For each record, the
// aggregates of the sessions that it continues are merged one after the other: merge of init() and the first one, then
// merge of the result and the second one, and so on. Then add makes the new aggregate from the record's key, its value
// and the result. The sessions that were merged are deleted, and these deletions are forwarded in the order of the
// sessions' ends. Then the new session is forwarded, unless [SessionWindowedStream.EmitOnClose] says otherwise. The
// timestamp of a result is the end of the session.
//
// A record is dropped if its key is null, or if its session, with all sessions that it joins, is over by the stream
// time of this operator, gap and grace included. A record with a null value is not dropped: add is called with the zero
// value of V. add and merge must not modify the aggregates that they are given, but return new ones.
func (s SessionWindowedStream[K, V]) Aggregate[A any](
	name string, init func() A, add func(key K, value V, aggregate A) A, merge func(key K, a, b A) A, codec codecs.Codec[A],
	opts ...AggregateOption[A],
) WindowedTable[K, A] {
	n := s.grouped.stream.graph().namedNode("session-aggregate", name)
	a := newAggregation(n, init, codec, opts)
	n.require(add != nil, "function that adds a value")
	n.require(merge != nil, "function that merges sessions")
	return aggregateSessions(n, s.windows, s.emission, a, merge, feed(s.grouped, add))
}
