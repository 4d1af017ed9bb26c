package topology

// Map replaces the key and the value of each record by what f returns. The key of a record with a null key is the zero value
// for f. A record with a null value becomes one with a null key and a null value: f is not called, see [Stream.MapRecord].
//
// The keys are new, as after [Stream.Rekey]: to group or join the stream, send it through [Stream.Repartition] first. If only
// the values change, [Stream.MapValuesWithKey] spares that.
func (s Stream[K, V]) Map[K2, V2 any](f func(key K, value V) (K2, V2), opts ...NodeOption) Stream[K2, V2] {
	n := s.builder().node("map", opts)
	n.require(f != nil, "function")
	out := then(s.out, n, func(t *Task, next receiver[item[K2, V2]]) receiver[item[K, V]] {
		mapped := &item[K2, V2]{key: new(encodedKey)}
		return func(it *item[K, V]) error {
			mapped.key.reset()
			mapped.Record = Record[K2, V2]{
				NullKey: it.NullValue, NullValue: it.NullValue, Timestamp: it.Timestamp, Headers: it.Headers,
			}
			if !it.NullValue {
				t.at = n
				mapped.Key, mapped.Value = f(it.Key, it.Value)
			}
			return next(mapped)
		}
	})
	return Stream[K2, V2]{out: out, keys: keying[K2]{changed: n.site}}
}
