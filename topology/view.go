package topology

import (
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// view is how operators that join with a table read its rows: from the store of the table, or computed from the rows of
// the tables that it is made from.
type view[K, V any] struct {
	value  codecs.Codec[V] // nil if no operator has said how values are encoded
	stores []*storeInfo    // all that are read
	open   func(h *engine.Host) lookup[K, V]
	// history is like open, for the rows as they were at a time. It is nil unless the table is versioned.
	history func(h *engine.Host) historyLookup[K, V]
	// table is the store of the table, nil if the rows are computed.
	table *storeInfo
	// committed yields the committed rows in a task, beginning with the given key, nil for the first row. It is nil if
	// the rows are computed.
	committed func(h *engine.Host, from *K) iter.Seq2[state.Entry[K, V], error]
}

// lookup returns the current row of a key: its value and timestamp, and false if there is none. encoded is the encoding
// of the key and is not kept.
type lookup[K, V any] func(key K, encoded []byte) (value V, timestamp int64, ok bool, err error)

// historyLookup returns the row of a key as it was at the time asOf, in milliseconds.
type historyLookup[K, V any] func(key K, encoded []byte, asOf int64) (value V, timestamp int64, ok bool, err error)

// computed is the view of the table that n makes from another one: f returns the row of the result for a row of the
// other table, and false if the result has none.
func computed[K, V, V2 any](v *view[K, V], n *node, f func(key K, value V) (V2, bool)) *view[K, V2] {
	compute := func(h *engine.Host, key K, value V) (result V2, ok bool) {
		reader := h.At()
		h.Enter(n)
		result, ok = f(key, value)
		h.Enter(reader) // goes on with functions of its own
		return result, ok
	}
	result := &view[K, V2]{stores: v.stores, open: func(h *engine.Host) lookup[K, V2] {
		row := v.open(h)
		return func(key K, encoded []byte) (result V2, timestamp int64, ok bool, err error) {
			value, timestamp, ok, err := row(key, encoded)
			if err != nil || !ok {
				return result, 0, false, err
			}
			result, ok = compute(h, key, value)
			return result, timestamp, ok, nil
		}
	}}
	if v.history != nil {
		result.history = func(h *engine.Host) historyLookup[K, V2] {
			row := v.history(h)
			return func(key K, encoded []byte, asOf int64) (result V2, timestamp int64, ok bool, err error) {
				value, timestamp, ok, err := row(key, encoded, asOf)
				if err != nil || !ok {
					return result, 0, false, err
				}
				result, ok = compute(h, key, value)
				return result, timestamp, ok, nil
			}
		}
	}
	return result
}

// connect makes n a reader of the rows. It puts n into the sub-topology that keeps them.
func (v *view[K, V]) connect(n *node) {
	for _, store := range v.stores {
		n.read(store)
	}
}

// oldWanted reports whether an operator below n needs the old values of its changes. If none does, an operator that
// computes old values from the old values of its input need not do so. As in Kafka Streams, an operator that knows the
// old values leaves out changes from nothing to nothing; if it does not know them, it forwards these changes
// (docs/semantics.md, Changes from nothing to nothing).
func (n *node) oldWanted() bool {
	for _, child := range n.children {
		if child.wantsOld || child.passesOld && child.oldWanted() {
			return true
		}
	}
	return false
}
