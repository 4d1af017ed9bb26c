package topology

// FilterRecord is [Stream.Filter] for a function that sees the whole record: also null keys and null values, the timestamp
// and the headers.
func (s Stream[K, V]) FilterRecord(keep func(r Record[K, V]) bool, opts ...NodeOption) Stream[K, V] {
	n := s.builder().node("filter-record", opts)
	n.require(keep != nil, "function")
	out := then(s.out, n, func(t *Task, next receiver[item[K, V]]) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			t.at = n
			if !keep(it.Record) {
				return nil
			}
			return next(it)
		}
	})
	return Stream[K, V]{out: out, keys: s.keys}
}
