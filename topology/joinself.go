package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// selfJoin joins a stream with itself. The results are the results of a join of two streams, in the same order, from
// one store.
func selfJoin[K, V, R any](
	n *node, s Stream[K, V], windows JoinWindows, join func(left, right V) R, value codecs.Codec[V],
) Stream[K, R] {
	windows.validate(n)
	n.require(value != nil, "codec of the values")
	s.keys.copartitioned(n)
	w := windows.millis()
	keep := max(w.keep(), w.reversed().keep())
	spec := joinSpec(keep)
	spec.Name = n.name
	store := joined{keep: keep, storeInfo: n.keep(spec)}
	n.timed = true
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, R]]) receiver[item[K, V]] {
		rows := openBuffer(h, store, s.keys.codec, value)
		rows.clock = h.Clock(n, n.name, engine.ClockHooks{Expire: rows.expire})
		side := streamSide[K, V, V, R]{
			h: h, node: n, keys: s.keys, windows: w, own: rows, other: rows, results: &joinResults[K, R]{next: next},
		}
		j := &openSelfJoin[K, V, R]{left: side, right: side}
		j.left.join = func(left, right *V) R { return join(*left, *right) }
		j.right.windows, j.right.join = w.reversed(), func(right, left *V) R { return join(*left, *right) }
		return j.receive
	})
	return Stream[K, R]{out: out, keys: s.keys}
}

// openSelfJoin is a join of a stream with itself in a task: both sides share one buffer.
type openSelfJoin[K, V, R any] struct{ left, right streamSide[K, V, V, R] }

func (j *openSelfJoin[K, V, R]) receive(it *item[K, V]) error {
	h, n, rows := j.left.h, j.left.node, j.left.own
	h.Enter(n)
	if dropNulls(h, n, &it.Record) {
		return nil
	}
	key, err := j.left.keys.encode(h, n, it.key, it.Key)
	if err != nil {
		return err
	}
	// The record is matched as the left record before it is kept and as the right record after, so that it also matches
	// itself.
	matched, err := j.left.match(it, it.key, key)
	if err != nil {
		return err
	}
	rows.clock.Advance(it.Timestamp)
	if it.Timestamp >= rows.first() {
		if _, err := rows.put(key, it.Timestamp, it.Value); err != nil {
			return h.NodeError(n, err)
		}
	}
	again, err := j.right.match(it, it.key, key)
	if err == nil && !matched && !again {
		h.DropLate(n, DropLateWindow, it.Timestamp, max(0, rows.first()-it.Timestamp))
	}
	return err
}
