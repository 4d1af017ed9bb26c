package topology

// Filter passes on the records for which keep returns true. Records with a null value pass. The key of a record with a
// null key is the zero value.
func (s Stream[K, V]) Filter(keep func(key K, value V) bool, opts ...NodeOption) Stream[K, V] {
	n := s.builder().node("filter", opts)
	n.require(keep != nil, "function")
	out := then(s.out, n, func(t *Task, next receiver[item[K, V]]) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			t.at = n
			if !it.NullValue && !keep(it.Key, it.Value) {
				return nil
			}
			return next(it)
		}
	})
	return Stream[K, V]{out: out, keys: s.keys}
}
