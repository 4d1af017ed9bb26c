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
	return Table[K, V2]{out: mapChanges(table.out, n, f), keys: table.keys, view: mapped(table.view, n, f)}
}

// mapChanges makes n what maps the values of the changes of a table, windowed or not.
func mapChanges[K, V, V2 any](from *port[change[K, V]], n *node, f func(key K, value V) V2) *port[change[K, V2]] {
	n.passesOld = true
	return then(from, n, func(t *Task, next receiver[change[K, V2]]) receiver[change[K, V]] {
		mapped, wantsOld := new(change[K, V2]), n.oldWanted()
		return func(c *change[K, V]) error {
			t.at = n
			*mapped = change[K, V2]{
				Key: c.Key, Window: c.Window, HasNew: c.HasNew, Began: c.Began, Stale: c.Stale,
				Timestamp: c.Timestamp, Headers: c.Headers, key: c.key,
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
}

// mapped is the view of the rows whose values n maps.
func mapped[K, V, V2 any](v *view[K, V], n *node, f func(key K, value V) V2) *view[K, V2] {
	return computed(v, n, func(key K, value V) (V2, bool) { return f(key, value), true })
}
