package topology

// ForEach ends the stream with a call of f for each record, null keys and null values included. f must not modify the record,
// and is called again for a record that is processed again, as that of [Stream.Peek].
func (s Stream[K, V]) ForEach(f func(r Record[K, V]), opts ...NodeOption) {
	n := s.builder().node("for-each", opts)
	n.require(f != nil, "function")
	link(s.out, n, func(t *Task) receiver[item[K, V]] {
		return func(it *item[K, V]) error {
			t.at = n
			f(it.Record)
			return nil
		}
	})
}
