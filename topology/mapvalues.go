package topology

// MapValues replaces each value by f of it. A null value stays null: f is not called.
func (s Stream[K, V]) MapValues[V2 any](f func(value V) V2, opts ...NodeOption) Stream[K, V2] {
	n := s.builder().node("map-values", opts)
	n.require(f != nil, "function")
	return mapValues(s, n, func(_ K, value V) V2 { return f(value) })
}

// mapValues makes n replace the values of a stream.
func mapValues[K, V, V2 any](s Stream[K, V], n *node, f func(key K, value V) V2) Stream[K, V2] {
	out := then(s.out, n, func(t *Task, next receiver[item[K, V2]]) receiver[item[K, V]] {
		mapped := new(item[K, V2])
		return func(it *item[K, V]) error {
			mapped.Record = Record[K, V2]{
				Key: it.Key, NullKey: it.NullKey, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			mapped.key = it.key
			if !it.NullValue {
				t.at = n
				mapped.Value = f(it.Key, it.Value)
			}
			return next(mapped)
		}
	})
	return Stream[K, V2]{out: out, keys: s.keys}
}
