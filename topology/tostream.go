package topology

import (
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// ToStream returns the updates of the table as a stream. A deletion is a record with a null value.
func (t Table[K, V]) ToStream(opts ...NodeOption) Stream[K, V] {
	n := t.graph().node("to-stream", opts)
	out := then(t.out, n, func(_ *engine.Host, next receiver[item[K, V]]) receiver[change[K, V]] {
		it := new(item[K, V])
		return func(c *change[K, V]) error {
			it.Record = Record[K, V]{
				Key: c.Key, Value: c.New, NullValue: !c.HasNew, Timestamp: c.Timestamp, Headers: c.Headers,
			}
			it.key = c.key
			return next(it)
		}
	})
	return Stream[K, V]{out: out, keys: t.keys}
}

// ToStream returns the updates of the table as a stream, with keys that the function key makes of the key and the
// window: [WithWindow] keeps both. A deletion is a record with a null value.
//
// The keys are new: to group or join the stream, send it through [Stream.Repartition] first.
func (t WindowedTable[K, V]) ToStream[K2 any](
	key func(key K, window state.Window) K2, opts ...NodeOption,
) Stream[K2, V] {
	n := t.graph().node("to-stream", opts)
	n.require(key != nil, "function")
	out := then(t.out, n, func(h *engine.Host, next receiver[item[K2, V]]) receiver[change[K, V]] {
		it := &item[K2, V]{key: new(encodedKey)}
		return func(c *change[K, V]) error {
			h.Enter(n)
			it.key.reset()
			it.Record = Record[K2, V]{
				Key: key(c.Key, c.Window), Value: c.New, NullValue: !c.HasNew, Timestamp: c.Timestamp, Headers: c.Headers,
			}
			return next(it)
		}
	})
	return Stream[K2, V]{out: out, keys: keying[K2]{changed: n.site}}
}
