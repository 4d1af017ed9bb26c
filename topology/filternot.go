package topology

// FilterNot passes on the records for which drop returns false: it is [Stream.Filter] the other way round. Records with a
// null value pass. The key of a record with a null key is the zero value.
func (s Stream[K, V]) FilterNot(drop func(key K, value V) bool, opts ...NodeOption) Stream[K, V] {
	n := s.builder().node("filter-not", opts)
	n.require(drop != nil, "function")
	out := then(s.out, n, func(t *Task, next receiver[item[K, V]]) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			t.at = n
			if !it.NullValue && drop(it.Key, it.Value) {
				return nil
			}
			return next(it)
		}
	})
	return Stream[K, V]{out: out, keys: s.keys}
}
