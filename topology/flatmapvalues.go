package topology

// FlatMapValues replaces each record by any number of records with the same key, none included: f calls emit with the value
// of each. They have the timestamp and the headers of the record. A record with a null value passes as it is: f is not called.
//
// f must not keep emit, nor call it after it has returned.
func (s Stream[K, V]) FlatMapValues[V2 any](f func(value V, emit func(value V2)), opts ...NodeOption) Stream[K, V2] {
	n := s.builder().node("flat-map-values", opts)
	n.require(f != nil, "function")
	return flatMapValues(s, n, func(_ K, value V, emit func(V2)) { f(value, emit) })
}

// FlatMapValuesWithKey is [Stream.FlatMapValues] for a function that wants the key, which is the zero value for a record with
// a null key.
func (s Stream[K, V]) FlatMapValuesWithKey[V2 any](
	f func(key K, value V, emit func(value V2)), opts ...NodeOption,
) Stream[K, V2] {
	n := s.builder().node("flat-map-values-with-key", opts)
	n.require(f != nil, "function")
	return flatMapValues(s, n, f)
}

// flatMapValues makes n replace each record of a stream by several.
func flatMapValues[K, V, V2 any](s Stream[K, V], n *node, f func(key K, value V, emit func(V2))) Stream[K, V2] {
	out := then(s.out, n, func(t *Task, next receiver[item[K, V2]]) receiver[item[K, V]] {
		e := &emitter[item[K, V2]]{t: t, node: n, next: next}
		made := new(item[K, V2])
		emit := func(value V2) {
			made.Value = value
			e.forward(made)
		}
		return func(it *item[K, V]) error {
			made.Record = Record[K, V2]{
				Key: it.Key, NullKey: it.NullKey, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			made.key = it.key
			if it.NullValue {
				return next(made)
			}
			e.begin()
			f(it.Key, it.Value, emit)
			return e.end()
		}
	})
	return Stream[K, V2]{out: out, keys: s.keys}
}
