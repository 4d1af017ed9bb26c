package topology

// MapValues replaces the value of each row by f of it. A deletion stays one: f is not called. Timestamps and headers stay.
//
// The result has no store of its own: whoever joins with it gets f of the row of this table. To query it, or if f is slow, call
// [Table.Materialize]. A versioned table stays versioned.
func (t Table[K, V]) MapValues[V2 any](f func(value V) V2, opts ...NodeOption) Table[K, V2] {
	n := t.builder().node("map-values", opts)
	n.require(f != nil, "function")
	return mapTable(t, n, func(_ K, value V) V2 { return f(value) })
}

// MapValuesWithKey is [Table.MapValues] for a function that looks at the key as well.
func (t Table[K, V]) MapValuesWithKey[V2 any](f func(key K, value V) V2, opts ...NodeOption) Table[K, V2] {
	n := t.builder().node("map-values", opts)
	n.require(f != nil, "function")
	return mapTable(t, n, f)
}

func mapTable[K, V, V2 any](table Table[K, V], n *node, f func(key K, value V) V2) Table[K, V2] {
	n.passesOld = true
	out := then(table.out, n, func(t *Task, next receiver[change[K, V2]]) receiver[change[K, V]] {
		mapped, wantsOld := new(change[K, V2]), n.oldWanted()
		return func(c *change[K, V]) error {
			t.at = n
			*mapped = change[K, V2]{
				Key: c.Key, HasNew: c.HasNew, Began: c.Began, Stale: c.Stale, Timestamp: c.Timestamp, Headers: c.Headers, key: c.key,
			}
			if c.HasNew {
				mapped.New = f(c.Key, c.New)
			}
			if mapped.HasOld = wantsOld && c.HasOld; mapped.HasOld {
				mapped.Old = f(c.Key, c.Old)
			}
			return next(mapped)
		}
	})
	return Table[K, V2]{out: out, keys: table.keys, view: computed(table.view, n, func(key K, value V) (V2, bool) {
		return f(key, value), true
	})}
}
