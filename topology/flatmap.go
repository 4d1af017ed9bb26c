package topology

// FlatMap replaces each record by any number of records, none included: f calls emit with the key and the value of each. They
// have the timestamp and the headers of the record. The key of a record with a null key is the zero value for f. A record with
// a null value becomes one with a null key and a null value: f is not called, see [Stream.FlatMapRecord].
//
// f must not keep emit, nor call it after it has returned.
//
// The keys are new, as after [Stream.Rekey]: to group or join the stream, send it through [Stream.Repartition] first.
func (s Stream[K, V]) FlatMap[K2, V2 any](
	f func(key K, value V, emit func(key K2, value V2)), opts ...NodeOption,
) Stream[K2, V2] {
	n := s.builder().node("flat-map", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(t *Task, next receiver[item[K2, V2]]) receiver[item[K, V]] {
		e := &emitter[item[K2, V2]]{t: t, node: n, next: next}
		made := &item[K2, V2]{key: new(encodedKey)}
		emit := func(key K2, value V2) {
			made.key.reset()
			made.Key, made.Value = key, value
			e.forward(made)
		}
		return func(it *item[K, V]) error {
			made.key.reset()
			made.Record = Record[K2, V2]{
				NullKey: it.NullValue, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			if it.NullValue {
				return next(made)
			}
			e.begin()
			f(it.Key, it.Value, emit)
			return e.end()
		}
	})
	return Stream[K2, V2]{out: out, keys: keying[K2]{changed: n.site}}
}
