package topology

import "github.com/seed84377926/millrace/topology/engine"

// Peek calls f for each record and passes the record on as it is, for logging and the like. f sees the whole record, null keys
// and null values included, and must not modify it.
//
// f is called again for a record that is processed again, because a commit failed or an instance took over: what f
// does outside of the topology happens at least once.
func (s Stream[K, V]) Peek(f func(r Record[K, V]), opts ...NodeOption) Stream[K, V] {
	n := s.builder().node("peek", opts)
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

// ForEach ends the stream with a call of f for each record, null keys and null values included. f must not modify the record,
// and is called again for a record that is processed again, as that of [Stream.Peek].
func (s Stream[K, V]) ForEach(f func(r Record[K, V]), opts ...NodeOption) {
	n := s.builder().node("for-each", opts)
	n.require(f != nil, "function")
	link(s.out, n, func(h *engine.Host) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			h.Enter(n)
			f(it.Record)
			return nil
		}
	})
}
