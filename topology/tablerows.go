package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// tableStore keeps the rows of a table, in a store of the kind that the options of the table ask for.
type tableStore[K, V any] struct {
	info  *storeInfo
	key   codecs.Codec[K]
	value codecs.Codec[V]
}

// tableRows are the rows of a table in a task.
type tableRows[K, V any] interface {
	// forward says who hears of rows that expire.
	forward(next receiver[change[K, V]])
	// advance says that a record with that timestamp has come for the table, and forwards what expires by it.
	advance(timestamp int64) error
	// get returns the row of a key as it is now.
	get(key []byte) (value V, timestamp int64, ok bool, err error)
	// set stores the new value of a change and says whether it is stale. It reports false, and does nothing, if the change
	// is too old to be kept.
	set(key []byte, c *change[K, V]) (kept bool, err error)
}

// keepTable registers the store of a table, which has the name of n.
func keepTable[K, V any](n *node, key codecs.Codec[K], value codecs.Codec[V], o storeOptions) *tableStore[K, V] {
	info := n.keep(o.spec(n.name))
	n.timed = n.timed || o.versioned || o.expiring
	return &tableStore[K, V]{info: info, key: key, value: value}
}

// open returns the rows in t, the same to all who ask.
func (s *tableStore[K, V]) open(t *Task) tableRows[K, V] {
	switch {
	case s.info.spec.Kind == state.VersionedKind:
		return s.openVersioned(t)
	case s.info.spec.TTL > 0:
		return s.openExpiring(t)
	}
	return once(t, s, func() tableRows[K, V] {
		rows, err := state.NewKeyValue(s.info.spec.Name, t.cfg.State, t.cfg.Budget, s.key, s.value)
		if err != nil {
			t.fail(err)
			return nil
		}
		t.stores = append(t.stores, rows)
		return plainRows[K, V]{rows}
	})
}

// view returns how others read the rows.
func (s *tableStore[K, V]) view() *view[K, V] {
	v := &view[K, V]{value: s.value, stores: []*storeInfo{s.info}, open: func(t *Task) lookup[K, V] {
		rows := s.open(t)
		return func(_ K, encoded []byte) (V, int64, bool, error) { return rows.get(encoded) }
	}}
	if s.info.spec.Kind == state.VersionedKind {
		v.history = func(t *Task) historyLookup[K, V] {
			rows := s.openVersioned(t)
			return func(_ K, encoded []byte, asOf int64) (V, int64, bool, error) { return rows.getAsOf(encoded, asOf) }
		}
	}
	return v
}

// plainRows are rows of which only the latest value is kept.
type plainRows[K, V any] struct{ store *state.KeyValue[K, V] }

func (r plainRows[K, V]) forward(receiver[change[K, V]]) {}

func (r plainRows[K, V]) advance(int64) error { return nil }

func (r plainRows[K, V]) get(key []byte) (V, int64, bool, error) { return r.store.GetEncoded(key) }

func (r plainRows[K, V]) set(key []byte, c *change[K, V]) (kept bool, err error) {
	c.Stale = false
	return true, setRow(r.store, key, c)
}
