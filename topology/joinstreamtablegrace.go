package topology

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// JoinTableWithGrace is [Stream.JoinTable] with a table that has a history ([Versioned]), and with records that wait:
// each record is joined when the stream time of the join, which its records move, has passed the record's timestamp by
// the grace. So the join finds the row that was valid at that time, even if the row comes to the table later than the
// record. The records wait in a store with the given name. They come out in the order of their timestamps, with their
// timestamps and headers. A record that is late by more than the grace is joined at once. A record that waits comes out
// only when stream time moves on: a pause holds it, unless [AdvanceWhenIdle] is used.
//
// The history of the table must be at least as long as the grace.
func (s Stream[K, V]) JoinTableWithGrace[W, R any](
	name string, table Table[K, W], grace time.Duration, join func(value V, row W) R, value codecs.Codec[V],
) Stream[K, R] {
	n := s.graph().namedNode("join-table-with-grace", name)
	n.require(join != nil, "function")
	both := func(value *V, row *W) R { return join(*value, *row) }
	return joinTableWithGrace(n, s, table, grace, both, value, false)
}

// LeftJoinTableWithGrace is [Stream.JoinTableWithGrace] with a result for every record, like [Stream.LeftJoinTable]. A
// record with a null key does not wait.
func (s Stream[K, V]) LeftJoinTableWithGrace[W, R any](
	name string, table Table[K, W], grace time.Duration, join func(value V, row *W) R, value codecs.Codec[V],
) Stream[K, R] {
	n := s.graph().namedNode("left-join-table-with-grace", name)
	n.require(join != nil, "function")
	both := func(value *V, row *W) R { return join(*value, row) }
	return joinTableWithGrace(n, s, table, grace, both, value, true)
}

func joinTableWithGrace[K, V, W, R any](
	n *node, s Stream[K, V], table Table[K, W], grace time.Duration, join func(value *V, row *W) R, value codecs.Codec[V], left bool,
) Stream[K, R] {
	n.nullKeys, n.timed, n.behind = left, true, grace.Milliseconds()
	n.require(value != nil, "codec of the values")
	spec := n.keep(state.Spec{Name: n.name, Kind: state.QueueKind}).spec
	if !s.joins(n, table) {
		return Stream[K, R]{out: &port[item[K, R]]{node: n}, keys: s.keys}
	}
	checkGrace(n, table.view, grace)
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, R]]) receiver[item[K, V]] {
		rows, err := state.NewTimeQueue(spec, h.State(), h.Budget(), table.keys.codec, heldCodec[V]{value})
		if err != nil {
			h.Fail(err)
			return nil
		}
		h.AddStore(rows)
		j := &graceJoin[K, V, W, R]{
			tableJoin: openTableJoin(h, n, table, join, left, next), rows: rows, grace: grace.Milliseconds(),
			out: item[K, V]{key: new(encodedKey)},
		}
		j.clock = h.Clock(n, spec.Name, engine.ClockHooks{Emit: j.emit, Node: n, Reach: j.grace})
		return j.receive
	})
	return Stream[K, R]{out: out, keys: s.keys}
}

// checkGrace records mistakes in the grace of n, a join with the table of v.
func checkGrace[K, V any](n *node, v *view[K, V], grace time.Duration) {
	switch {
	case grace < 0:
		n.graph.errorf(n, "the grace of %v is negative", grace)
		return
	case grace%time.Millisecond != 0:
		n.graph.errorf(n, "the grace of %v is not a whole number of milliseconds", grace)
		return
	case v.history == nil:
		n.graph.errorf(n, "the table has no history for records to wait for; give it one of %v at least with topology.Versioned", grace)
		return
	}
	for _, store := range v.stores {
		if history := store.spec.Retention; store.spec.Kind == state.VersionedKind && 0 < history && history < grace {
			n.graph.errorf(n, "the grace of %v is longer than the history of table %q, %v: rows would be lost before they are joined",
				grace, store.spec.Name, history)
		}
	}
}

// graceJoin is a join of a stream with a table in a task, in which records wait for the table.
type graceJoin[K, V, W, R any] struct {
	*tableJoin[K, V, W, R]
	rows  *state.TimeQueue[K, held[V]]
	clock *engine.Clock
	grace int64
	out   item[K, V] // the record that has waited
}

func (j *graceJoin[K, V, W, R]) receive(it *item[K, V]) error {
	if done, err := j.refuse(it); done {
		return err
	}
	if it.Timestamp < j.clock.Now-j.grace {
		j.memo.reset()
		return j.join(it, &j.memo)
	}
	j.clock.Advance(it.Timestamp)
	if _, err := j.rows.Put(it.Key, it.Timestamp, state.LeftSide, held[V]{it.Value, it.Headers}); err != nil {
		return j.h.NodeError(j.node, err)
	}
	return j.emit(j.clock.Now)
}

// emit joins the records that have waited long enough at stream time now.
func (j *graceJoin[K, V, W, R]) emit(now int64) error {
	for e, err := range j.rows.Scan(now - j.grace) {
		if err != nil {
			return j.h.NodeError(j.node, err)
		}
		if _, err := j.rows.Remove(e.Key, e.QueuePlace); err != nil {
			return j.h.NodeError(j.node, err)
		}
		j.out.key.reset()
		j.memo.reset()
		j.out.Record = Record[K, V]{Key: e.Key, Value: e.Value.value, Timestamp: e.Time, Headers: e.Value.headers}
		if err := j.join(&j.out, &j.memo); err != nil {
			return err
		}
	}
	return nil
}

// held is a record that waits, without its key and timestamp.
type held[V any] struct {
	value   V
	headers []engine.Header
}

// heldCodec encodes records that wait: the headers, then the value.
type heldCodec[V any] struct{ value codecs.Codec[V] }

// Append implements codecs.Codec.
func (c heldCodec[V]) Append(dst []byte, h held[V]) ([]byte, error) {
	return c.value.Append(appendHeaders(dst, h.headers), h.value)
}

// Decode implements codecs.Codec.
func (c heldCodec[V]) Decode(data []byte) (h held[V], err error) {
	if h.headers, data, err = cutHeaders(data); err == nil {
		h.value, err = c.value.Decode(data)
	}
	return h, err
}
