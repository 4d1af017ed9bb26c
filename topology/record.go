package topology

import (
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// Record is what flows through a stream.
type Record[K, V any] struct {
	// Key is the zero value if NullKey is set.
	Key K
	// Value is the zero value if NullValue is set.
	Value V
	// NullKey says that the record has no key.
	NullKey bool
	// NullValue says that the record has no value; in a stream that comes from a table it deletes the key.
	NullValue bool
	// Timestamp is the time of the event, in milliseconds since the Unix epoch.
	Timestamp int64
	// Headers travel with the record through all operators. They are shared: nobody may modify them.
	Headers []engine.Header
}

// item is a record on its way from one operator to the next. The node that forwards an item owns it and uses it again
// for its next record: receivers must neither keep nor modify it.
type item[K, V any] struct {
	Record[K, V]
	key *encodedKey
}

// change is an update of a table, or of a windowed table, on its way from one operator to the next. It is owned and
// reused like an item.
type change[K, V any] struct {
	Key      K
	Window   state.Window // of a windowed table
	Old, New V
	HasOld   bool // the key had a row before
	HasNew   bool // the key has a row now; false is a deletion
	// Began says that there was no row before, and that Old is the initial value of an aggregation: like Kafka Streams,
	// we forward it as the old value of the first record of a key. It must not be taken out of an aggregate that it was
	// never put into.
	Began bool
	// Stale says that a later version of the row is known: only the history of a versioned table changed, not its
	// latest rows (KIP-914).
	Stale     bool
	Timestamp int64
	Headers   []engine.Header
	key       *encodedKey
}

// dropNulls drops a record that lacks its key or its value, and reports whether it did.
func dropNulls[K, V any](h *engine.Host, n *node, r *Record[K, V]) bool {
	switch {
	case r.NullKey:
		h.Drop(n, DropNullKey, r.Timestamp)
	case r.NullValue:
		h.Drop(n, DropNullValue, r.Timestamp)
	}
	return r.NullKey || r.NullValue
}

// encodedKey keeps the encoding of a key, so that a record's key is encoded once however many operators need it. All
// records that carry one key share one encodedKey; the node that sets the key resets it. data lives in the arena of the
// task and is valid while the task processes the input record.
type encodedKey struct{ data []byte }

func (k *encodedKey) reset() { k.data = nil }
