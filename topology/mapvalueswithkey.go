package topology

// MapValuesWithKey replaces each value by f of the key and the value. The key of a record with a null key is the zero value.
// A null value stays null: f is not called.
func (s Stream[K, V]) MapValuesWithKey[V2 any](f func(key K, value V) V2, opts ...NodeOption) Stream[K, V2] {
	n := s.builder().node("map-values-with-key", opts)
	n.require(f != nil, "function")
	return mapValues(s, n, f)
}
