package topology

import "github.com/seed84377926/millrace/topology/engine"

// Peek calls f for each record and passes the record on unchanged, for logging and the like. f sees the whole record,
// with null keys and null values, and must not modify it.
//
// f is called again for a record that is processed again, because a commit failed or because another instance took
// over: effects of f outside the topology happen at least once.
func (s Stream[K, V]) Peek(f func(r Record[K, V]), opts ...NodeOption) Stream[K, V] {
	n := s.graph().node("peek", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K, V]]) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			h.Enter(n)
			f(it.Record)
			return next(it)
		}
	})
	return Stream[K, V]{out: out, keys: s.keys}
}

// ForEach ends the stream with a call of f for each record, with null keys and null values. f must not modify the
// record. As with [Stream.Peek], f is called again for a record that is processed again.
func (s Stream[K, V]) ForEach(f func(r Record[K, V]), opts ...NodeOption) {
	n := s.graph().node("for-each", opts)
	n.require(f != nil, "function")
	link(s.out, n, func(h *engine.Host) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			h.Enter(n)
			f(it.Record)
			return nil
		}
	})
}
