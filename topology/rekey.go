package topology

import "github.com/seed84377926/millrace/topology/engine"

// Rekey replaces each key by the result of f. For a record with a null key, f gets the zero value of K. For a record
// with a null value f is not called: its new key is null.
//
// Equal new keys may be in different partitions. Grouping and joining need them together, and refuse the stream until
// [Stream.Repartition] has sent it through a topic. The other operators accept it.
func (s Stream[K, V]) Rekey[K2 any](f func(key K, value V) K2, opts ...NodeOption) Stream[K2, V] {
	n := s.graph().node("rekey", opts)
	n.require(f != nil, "function")
	return rekey(s, n, f)
}

func rekey[K, V, K2 any](s Stream[K, V], n *node, f func(key K, value V) K2) Stream[K2, V] {
	out := then(s.out, n, func(h *engine.Host, next receiver[item[K2, V]]) receiver[item[K, V]] {
		rekeyed := &item[K2, V]{key: new(encodedKey)}
		return func(it *item[K, V]) error {
			rekeyed.key.reset()
			rekeyed.Record = Record[K2, V]{
				Value: it.Value, NullKey: it.NullValue, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			if !it.NullValue {
				h.Enter(n)
				rekeyed.Key = f(it.Key, it.Value)
			}
			return next(rekeyed)
		}
	})
	return Stream[K2, V]{out: out, keys: keying[K2]{changed: n.site}}
}
