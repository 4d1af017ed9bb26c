package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// TimeWindowedStream is a grouped stream whose records are aggregated window by window. It is made by
// [GroupedStream.WindowedBy].
type TimeWindowedStream[K, V any] struct {
	grouped GroupedStream[K, V]
	windows TimeWindows
}

// WindowedTable is the latest value for each key and window, kept in a window store.
type WindowedTable[K, V any] struct {
	out *port[change[K, V]]
}

// WindowedBy puts the records of each key into windows.
func (g GroupedStream[K, V]) WindowedBy(w TimeWindows) TimeWindowedStream[K, V] {
	w.validate(&node{builder: g.stream.builder(), kind: "windowed-by", site: callSite()})
	return TimeWindowedStream[K, V]{grouped: g, windows: w}
}

// Count counts the records of each key and window, in a window store with the given name (values: codecs.Int64). It treats
// records as [TimeWindowedStream.Aggregate] does.
func (s TimeWindowedStream[K, V]) Count(name string) WindowedTable[K, int64] {
	n := s.grouped.stream.builder().namedNode("windowed-count", name)
	return aggregateWindows(s, n, counting[K, V]())
}

// Aggregate keeps one value for each key and window, in a window store with the given name: add of the record's key, its
// value and the aggregate so far, which is init() for the first record. Every update is forwarded. The timestamp of a result
// is the largest of its records.
//
// A record whose window is over, grace included, by the stream time of this operator is dropped; so is a record with a null
// key. A null value is not: add is called with the zero value of V, and Count counts it. add must not modify the aggregate
// that it is given, but return a new one.
func (s TimeWindowedStream[K, V]) Aggregate[A any](
	name string, init func() A, add func(key K, value V, aggregate A) A, codec codecs.Codec[A], opts ...AggregateOption[A],
) WindowedTable[K, A] {
	n := s.grouped.stream.builder().namedNode("windowed-aggregate", name)
	return aggregateWindows(s, n, newAggregation(n, init, add, codec, opts))
}

func aggregateWindows[K, V, A any](s TimeWindowedStream[K, V], n *node, a aggregation[K, V, A]) WindowedTable[K, A] {
	a.store.refuse(n)
	keys, windows := s.grouped.stream.keys, s.windows.millis()
	spec := n.keep(s.windows.spec(n.name)).spec
	n.timed = true
	out := then(s.grouped.stream.out, n, func(t *Task, next receiver[change[K, A]]) receiver[item[K, V]] {
		store, err := state.NewWindowed(spec, t.cfg.State, t.cfg.Budget, keys.codec, a.codec)
		if err != nil {
			t.fail(err)
			return nil
		}
		t.stores = append(t.stores, store)
		clock := t.clockFor(spec.Name, clockHooks{expire: func(now int64) error {
			_, err := store.Expire(windows.expired(now))
			return err
		}})
		c := new(change[K, A])
		return func(it *item[K, V]) error {
			t.at = n
			if it.NullKey {
				t.drop(n, DropNullKey)
				return nil
			}
			clock.advance(it.Timestamp)
			encoded, err := keys.encode(t, n, it.key, it.Key)
			if err != nil {
				return err
			}
			// A start below zero is beyond the largest timestamp there is.
			for start := windows.first(it.Timestamp); 0 <= start && start <= it.Timestamp; start += windows.advance {
				end := start + windows.size
				if windows.closed(end, clock.now) {
					t.drop(n, DropLateWindow)
					continue
				}
				*c = change[K, A]{Key: it.Key, Window: state.Window{Start: start, End: end}, Headers: it.Headers, key: it.key}
				var timestamp int64
				if c.Old, timestamp, c.HasOld, err = store.GetEncoded(encoded, start); err != nil {
					return t.nodeError(n, err)
				}
				t.at = n
				a.apply(it, c, timestamp)
				if err := setWindow(store, encoded, c); err != nil {
					return t.nodeError(n, err)
				}
				if err := next(c); err != nil {
					return err
				}
			}
			return nil
		}
	})
	return WindowedTable[K, A]{out: out}
}

// setWindow stores the new value of a change.
func setWindow[K, V any](store *state.Windowed[K, V], key []byte, c *change[K, V]) error {
	if c.HasNew {
		return store.PutEncoded(key, c.Window.Start, c.New, c.Timestamp)
	}
	return store.DeleteEncoded(key, c.Window.Start)
}

func (t WindowedTable[K, V]) builder() *Builder {
	if t.out == nil {
		panic("topology: method of the zero WindowedTable called; windowed tables are made by aggregations")
	}
	return t.out.node.builder
}
