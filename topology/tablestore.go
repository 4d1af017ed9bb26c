package topology

import (
	"errors"
	"iter"
	"math"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// tableStore keeps the rows of a table, in a store of the kind that the options of the table ask for.
type tableStore[K, V any] struct {
	info  *storeInfo
	key   codecs.Codec[K]
	value codecs.Codec[V]
}

// tableRows are the rows of a table in a task.
type tableRows[K, V any] interface {
	// forward sets the receiver of the deletions of rows that expire.
	forward(next receiver[change[K, V]])
	// advance moves time to the timestamp of a record of the table, and forwards the deletions of the rows that expire
	// by it.
	advance(timestamp int64) error
	// get returns the current row of a key.
	get(key []byte) (value V, timestamp int64, ok bool, err error)
	// set stores the new value of a change and sets whether the change is stale. If the change is too old to be kept,
	// it does nothing and returns by how many milliseconds; 0 means that the change is kept.
	set(key []byte, c *change[K, V]) (late int64, err error)
}

// keepTable registers the store of a table, which has the name of n.
func keepTable[K, V any](n *node, key codecs.Codec[K], value codecs.Codec[V], o storeOptions) *tableStore[K, V] {
	info := n.keep(o.spec(n.name))
	n.timed = n.timed || o.versioned || o.expiring
	return &tableStore[K, V]{info: info, key: key, value: value}
}

// open returns the rows in the task of h. All callers get the same rows.
func (s *tableStore[K, V]) open(h *engine.Host) tableRows[K, V] {
	switch {
	case s.info.spec.Kind == state.VersionedKind:
		return s.openVersioned(h)
	case s.info.spec.TTL > 0:
		return s.openExpiring(h)
	}
	return engine.Once(h, s, func() tableRows[K, V] {
		rows, err := state.NewKeyValue(s.info.spec.Name, h.State(), h.Budget(), s.key, s.value)
		if err != nil {
			h.Fail(err)
			return nil
		}
		h.AddStore(rows)
		return plainRows[K, V]{rows}
	})
}

// view returns the view through which other operators read the rows.
func (s *tableStore[K, V]) view() *view[K, V] {
	v := &view[K, V]{value: s.value, stores: []*storeInfo{s.info}, table: s.info, committed: s.committed, open: func(h *engine.Host) lookup[K, V] {
		rows := s.open(h)
		return func(_ K, encoded []byte) (V, int64, bool, error) { return rows.get(encoded) }
	}}
	if s.info.spec.Kind == state.VersionedKind {
		v.history = func(h *engine.Host) historyLookup[K, V] {
			rows := s.openVersioned(h)
			return func(_ K, encoded []byte, asOf int64) (V, int64, bool, error) { return rows.getAsOf(encoded, asOf) }
		}
	}
	return v
}

// committed yields the committed rows in the task of h, beginning with the given key, nil for the first row.
func (s *tableStore[K, V]) committed(h *engine.Host, from *K) iter.Seq2[state.Entry[K, V], error] {
	name := s.info.spec.Name
	if s.info.spec.Kind == state.VersionedKind {
		return state.NewVersionReader(name, s.key, s.value).Latest(h.State(), from)
	}
	return state.NewKeyValueReader(name, s.key, s.value).Range(h.State(), from, nil)
}

// rowUpdate updates the rows of the table that n keeps, change by change.
type rowUpdate[K, V any] struct {
	h    *engine.Host
	n    *node
	keys keying[K]
	rows tableRows[K, V]
	next receiver[change[K, V]]
}

// update returns the rowUpdate that updates the rows of s in the task of h and forwards the changes.
func (s *tableStore[K, V]) update(h *engine.Host, n *node, keys keying[K], next receiver[change[K, V]]) *rowUpdate[K, V] {
	rows := s.open(h)
	rows.forward(next)
	return &rowUpdate[K, V]{h: h, n: n, keys: keys, rows: rows, next: next}
}

// begin moves time to the timestamp of the change and sets the old value of its row in c. It returns the encoding of
// the key and the timestamp of the old value.
func (u *rowUpdate[K, V]) begin(c *change[K, V]) (encoded []byte, timestamp int64, err error) {
	if encoded, err = u.keys.encode(u.h, u.n, c.key, c.Key); err != nil {
		return nil, 0, err
	}
	if err := u.rows.advance(c.Timestamp); err != nil {
		return nil, 0, err
	}
	u.h.Enter(u.n)
	if c.Old, timestamp, c.HasOld, err = u.rows.get(encoded); err != nil {
		return nil, 0, u.h.NodeError(u.n, err)
	}
	return encoded, timestamp, nil
}

// end stores the new value of c and reports whether c is to be forwarded. A change that is too old to be kept is
// dropped.
func (u *rowUpdate[K, V]) end(encoded []byte, c *change[K, V]) (kept bool, err error) {
	late, err := u.rows.set(encoded, c)
	if err != nil {
		return false, u.h.NodeError(u.n, err)
	}
	if late > 0 {
		u.h.DropLate(u.n, DropTooOld, c.Timestamp, late)
	}
	return late == 0, nil
}

// plainRows are rows without history and without expiry.
type plainRows[K, V any] struct{ store *state.KeyValue[K, V] }

func (r plainRows[K, V]) forward(receiver[change[K, V]]) {}

func (r plainRows[K, V]) advance(int64) error { return nil }

func (r plainRows[K, V]) get(key []byte) (V, int64, bool, error) { return r.store.GetEncoded(key) }

func (r plainRows[K, V]) set(key []byte, c *change[K, V]) (late int64, err error) {
	c.Stale = false
	if c.HasNew {
		return 0, r.store.PutEncoded(key, c.New, c.Timestamp)
	}
	return 0, r.store.DeleteEncoded(key)
}

// versionedRows are rows with their history.
type versionedRows[K, V any] struct {
	store *state.Versioned[K, V]
	clock *engine.Clock
}

func (s *tableStore[K, V]) openVersioned(h *engine.Host) *versionedRows[K, V] {
	return engine.Once(h, s.info, func() *versionedRows[K, V] {
		store, err := state.NewVersioned(s.info.spec, h.State(), h.Budget(), s.key, s.value)
		if err != nil {
			h.Fail(err)
			return nil
		}
		h.AddStore(store)
		clock := forgetting(h, s.info.owner, s.info.spec.Name, s.info.spec.Retention, store.Expire)
		if clock.Several() {
			store.FollowTime()
		}
		return &versionedRows[K, V]{store, clock}
	})
}

func (r *versionedRows[K, V]) forward(receiver[change[K, V]]) {}

func (r *versionedRows[K, V]) advance(timestamp int64) error {
	r.clock.Advance(timestamp)
	r.store.Advance(r.clock.Now)
	return nil
}

func (r *versionedRows[K, V]) get(key []byte) (V, int64, bool, error) { return r.store.GetEncoded(key) }

func (r *versionedRows[K, V]) set(key []byte, c *change[K, V]) (late int64, err error) {
	var next int64
	if c.HasNew {
		next, err = r.store.PutEncoded(key, c.New, c.Timestamp)
	} else {
		next, err = r.store.DeleteEncoded(key, c.Timestamp)
	}
	if errors.Is(err, state.ErrTooOld) {
		return r.store.HistoryStart() - c.Timestamp, nil
	}
	c.Stale = next != math.MaxInt64
	return 0, err
}

// getAsOf returns the row of a key as it was at a time, like Kafka Streams: before the beginning of history only the
// latest version is known.
func (r *versionedRows[K, V]) getAsOf(key []byte, asOf int64) (value V, timestamp int64, ok bool, err error) {
	r.store.Advance(r.clock.Now) // a rollback of the store may have set it back
	if asOf >= r.store.HistoryStart() {
		return r.store.GetAsOfEncoded(key, asOf)
	}
	latest, timestamp, ok, err := r.store.GetEncoded(key)
	if err != nil || !ok || timestamp > asOf {
		return value, 0, false, err
	}
	return latest, timestamp, true, nil
}

// expiringRows are rows with a TTL.
type expiringRows[K, V any] struct {
	h     *engine.Host
	n     *node
	store *state.Expiring[K, V]
	clock *engine.Clock
	ttl   int64 // milliseconds
	next  receiver[change[K, V]]
	gone  change[K, V] // the deletion of a row that expires
}

func (s *tableStore[K, V]) openExpiring(h *engine.Host) *expiringRows[K, V] {
	return engine.Once(h, s.info, func() *expiringRows[K, V] {
		store, err := state.NewExpiring(s.info.spec, h.State(), h.Budget(), s.key, s.value)
		if err != nil {
			h.Fail(err)
			return nil
		}
		h.AddStore(store)
		r := &expiringRows[K, V]{h: h, n: s.info.owner, store: store, ttl: s.info.spec.TTL.Milliseconds()}
		r.gone.key = new(encodedKey)
		r.clock = h.Clock(r.n, s.info.spec.Name, engine.ClockHooks{Emit: r.expire, Node: r.n, Reach: r.ttl + 1})
		return r
	})
}

func (r *expiringRows[K, V]) forward(next receiver[change[K, V]]) { r.next = next }

func (r *expiringRows[K, V]) advance(timestamp int64) error {
	r.clock.Advance(timestamp)
	return r.expire(r.clock.Now)
}

// expire forwards the deletions of the rows that expire at stream time now.
func (r *expiringRows[K, V]) expire(now int64) error {
	r.store.Advance(now)
	for e, err := range r.store.Expired(now - r.ttl) {
		if err != nil {
			return r.h.NodeError(r.n, err)
		}
		r.gone.key.reset()
		r.gone = change[K, V]{Key: e.Key, Old: e.Value, HasOld: true, Timestamp: e.Timestamp + r.ttl, key: r.gone.key}
		if err := r.next(&r.gone); err != nil {
			return err
		}
	}
	return nil
}

func (r *expiringRows[K, V]) get(key []byte) (V, int64, bool, error) {
	r.store.Advance(r.clock.Now) // a rollback of the store may have set it back
	return r.store.GetEncoded(key)
}

func (r *expiringRows[K, V]) set(key []byte, c *change[K, V]) (late int64, err error) {
	c.Stale = false
	if !c.HasNew {
		return 0, r.store.DeleteEncoded(key)
	}
	if late := r.clock.Now - r.ttl - c.Timestamp; late > 0 {
		return late, nil
	}
	return 0, r.store.PutEncoded(key, c.New, c.Timestamp)
}
