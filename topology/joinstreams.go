package topology

import (
	"errors"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// Join joins each record of the stream with the records of the other stream that have its key and are in its window.
// Each pair has one result, made by join, with the key, the larger timestamp, and the headers of the record that came
// later. The result comes out when that record is processed; the results of one record come in the order of the
// timestamps on the other side.
//
// Records are kept in stores named after the join: name-left and name-right. Records with a null key or a null value
// are dropped. A record that is later than the grace of the windows is joined with the records that are still kept. If
// its own window is over too, grace included, the record is not kept, and it is dropped if it had no result.
//
// A stream that is joined with itself needs only one store, called name. Each pair of records has two results, one for
// each order, and each record is also joined with itself.
//
// Both sides must be partitioned alike: by the same key with the same codec, and with the same number of partitions.
func (s Stream[K, V]) Join[W, R any](
	name string, other Stream[K, W], windows JoinWindows, join func(left V, right W) R,
	left codecs.Codec[V], right codecs.Codec[W],
) Stream[K, R] {
	n := s.graph().namedNode("join", name)
	n.require(join != nil, "function")
	if own, ok := any(join).(func(V, V) R); ok && any(s.out) == any(other.out) {
		return selfJoin(n, s, windows, own, left)
	}
	both := func(l *V, r *W) R { return join(*l, *r) }
	return joinStreams(n, s, other, windows, both, codecsOf(left, right), innerJoin)
}

// LeftJoin is [Stream.Join] with a result also for each record of this stream that is joined with nothing: join gets
// nil for the right side, and the result has the key, timestamp and headers of the record. The pointer that join gets
// is only valid during the call. A third store, name-unmatched, keeps the records that wait.
//
// Such a result comes out when the stream time of both sides together has passed the window of the record and its
// grace. From then on the record is joined with nothing: however disordered the input, no record comes out both joined
// and alone. (Kafka Streams contradicts itself there, KAFKA-19536.) Results come out in the order of their timestamps.
// As in Kafka Streams, they may come later by up to another window and grace, because not every record makes the join
// look for them.
//
// A record whose window is already over when it comes is joined with the records that are still kept; if there is none,
// it comes out alone at once. A record with a null key also comes out alone at once, because nothing can be joined with
// it (KIP-962); in the other stream it is dropped.
func (s Stream[K, V]) LeftJoin[W, R any](
	name string, other Stream[K, W], windows JoinWindows, join func(left V, right *W) R,
	left codecs.Codec[V], right codecs.Codec[W],
) Stream[K, R] {
	n := s.graph().namedNode("left-join", name)
	n.require(join != nil, "function")
	both := func(l *V, r *W) R { return join(*l, r) }
	return joinStreams(n, s, other, windows, both, codecsOf(left, right), leftJoin)
}

// OuterJoin is [Stream.LeftJoin] with a result also for each record of the other stream that is joined with nothing:
// join gets nil for the left side. Of results with equal timestamps, the results of the other stream come out first, as
// in Kafka Streams.
func (s Stream[K, V]) OuterJoin[W, R any](
	name string, other Stream[K, W], windows JoinWindows, join func(left *V, right *W) R,
	left codecs.Codec[V], right codecs.Codec[W],
) Stream[K, R] {
	n := s.graph().namedNode("outer-join", name)
	n.require(join != nil, "function")
	return joinStreams(n, s, other, windows, join, codecsOf(left, right), outerJoin)
}

// joinKind says which sides have results without a match.
type joinKind uint8

const (
	innerJoin joinKind = iota
	leftJoin
	outerJoin
)

func joinStreams[K, V, W, R any](
	n *node, s Stream[K, V], other Stream[K, W], windows JoinWindows, join func(l *V, r *W) R, values sideCodecs[V, W], kind joinKind,
) Stream[K, R] {
	windows.validate(n)
	n.require(values.left != nil, "codec of the left values")
	n.require(values.right != nil, "codec of the right values")
	out := &port[item[K, R]]{node: n}
	if other.out == nil {
		n.graph.errorf(n, "the other stream is the zero Stream; streams are made by topology.Source and operators")
		return Stream[K, R]{out: out, keys: s.keys}
	}
	if s.keys.copartitioned(n) && other.keys.copartitioned(n) {
		s.keys.sameEncoding(n, other.keys, other.out.node)
	}
	j := &streamJoin[K, V, W, R]{
		node: n, windows: windows.millis(), kind: kind, join: join, keys: s.keys, values: values, out: out,
		reencode: !sameCodec(s.keys.codec, other.keys.codec),
	}
	left, right := j.windows, j.windows.reversed()
	switch kind {
	case innerJoin:
		j.left, j.right = keepJoined(n, "left", left.keep()), keepJoined(n, "right", right.keep())
	case leftJoin:
		j.left, j.right = keepJoined(n, "left", left.closing()), keepJoined(n, "right", right.keep())
	case outerJoin:
		j.left, j.right = keepJoined(n, "left", left.closing()), keepJoined(n, "right", right.closing())
	}
	if kind != innerJoin {
		j.unmatched = n.keepPart("unmatched", state.Spec{Kind: state.QueueKind})
	}
	n.timed, n.nullKeys = true, kind != innerJoin
	if kind != innerJoin {
		n.behind = j.unmatchedReach()
	}
	link(s.out, n, func(h *engine.Host) receiver[item[K, V]] { return j.open(h).left.receive })
	link(other.out, n, func(h *engine.Host) receiver[item[K, W]] { return j.open(h).right.receive })
	return Stream[K, R]{out: out, keys: s.keys}
}

// streamJoin is a join of two streams.
type streamJoin[K, V, W, R any] struct {
	node        *node
	windows     joinMillis // of the left records
	kind        joinKind
	join        func(l *V, r *W) R
	keys        keying[K]
	values      sideCodecs[V, W]
	left, right joined
	unmatched   *storeInfo // nil in an inner join
	reencode    bool       // the keys of the right side may have another encoding
	out         *port[item[K, R]]
}

// openJoin is a join of two streams in a task.
type openJoin[K, V, W, R any] struct {
	left  streamSide[K, V, W, R]
	right streamSide[K, W, V, R]
}

// open returns the join in the task of h. Both inputs get the same join.
func (j *streamJoin[K, V, W, R]) open(h *engine.Host) *openJoin[K, V, W, R] {
	return engine.Once(h, j, func() *openJoin[K, V, W, R] {
		left := openBuffer(h, j.left, j.keys.codec, j.values.left)
		right := openBuffer(h, j.right, j.keys.codec, j.values.right)
		results := &joinResults[K, R]{next: j.out.receiver(h)}
		o := &openJoin[K, V, W, R]{
			left: streamSide[K, V, W, R]{
				h: h, node: j.node, keys: j.keys, windows: j.windows, results: results,
				own: left, other: right, side: state.LeftSide, otherSide: state.RightSide, join: j.join,
			},
			right: streamSide[K, W, V, R]{
				h: h, node: j.node, keys: j.keys, windows: j.windows.reversed(), results: results, reencode: j.reencode,
				own: right, other: left, side: state.RightSide, otherSide: state.LeftSide,
				join: func(r *W, l *V) R { return j.join(l, r) },
			},
		}
		switch j.kind {
		case innerJoin:
			left.clock = h.Clock(j.node, j.left.spec.Name, engine.ClockHooks{Expire: left.expire})
			right.clock = h.Clock(j.node, j.right.spec.Name, engine.ClockHooks{Expire: right.expire})
			return o
		case leftJoin:
			right.clock = h.Clock(j.node, j.right.spec.Name, engine.ClockHooks{Expire: right.expire})
		case outerJoin:
		}
		j.openUnmatched(h, o)
		return o
	})
}

// unmatchedReach is how far time must go on, after a record, for the record to come out alone.
func (j *streamJoin[K, V, W, R]) unmatchedReach() int64 {
	return 2 * (max(j.windows.closing(), 0) + max(j.windows.reversed().closing(), 0) + 1)
}

// openUnmatched sets the join up to forward records without a match.
func (j *streamJoin[K, V, W, R]) openUnmatched(h *engine.Host, o *openJoin[K, V, W, R]) {
	left, right := &o.left, &o.right
	rows, err := state.NewTimeQueue(j.unmatched.spec, h.State(), h.Budget(), j.keys.codec, unmatchedCodec[V, W]{j.values})
	if err != nil {
		h.Fail(err)
		return
	}
	h.AddStore(rows)
	q := &waiting[K, V, W, R]{
		h: h, node: j.node, rows: rows, join: j.join, results: left.results,
		left: left.windows.closing(), right: right.windows.closing(),
	}
	forget := func(key []byte, place state.QueuePlace) error {
		_, err := rows.RemoveEncoded(key, place)
		return err
	}
	expire := left.own.expire
	left.wait, right.matched = q.addLeft, forget
	if j.kind == outerJoin {
		right.wait, left.matched = q.addRight, forget
		expire = func(now int64) error { return errors.Join(left.own.expire(now), right.own.expire(now)) }
	}
	time := h.Clock(j.node, j.unmatched.spec.Name, engine.ClockHooks{Expire: expire, Emit: q.emit, Node: j.node, Reach: j.unmatchedReach()})
	q.oldest = h.StoredTime(j.unmatched.spec.Name + "/oldest")
	left.time, right.time, left.emit, right.emit, left.own.clock = time, time, q.emitDue, q.emitDue, time
	if j.kind == outerJoin {
		right.own.clock = time
	}
}
