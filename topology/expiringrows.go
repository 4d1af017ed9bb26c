package topology

import "github.com/seed84377926/millrace/state"

// expiringRows are rows that expire.
type expiringRows[K, V any] struct {
	t     *Task
	n     *node
	store *state.Expiring[K, V]
	clock *operatorClock
	ttl   int64 // milliseconds
	next  receiver[change[K, V]]
	gone  change[K, V] // forwarded for what expires
}

func (s *tableStore[K, V]) openExpiring(t *Task) *expiringRows[K, V] {
	return once(t, s.info, func() *expiringRows[K, V] {
		store, err := state.NewExpiring(s.info.spec, t.cfg.State, t.cfg.Budget, s.key, s.value)
		if err != nil {
			t.fail(err)
			return nil
		}
		t.stores = append(t.stores, store)
		r := &expiringRows[K, V]{t: t, n: s.info.owner, store: store, ttl: s.info.spec.TTL.Milliseconds()}
		r.gone.key = new(encodedKey)
		r.clock = t.clockFor(s.info.spec.Name, clockHooks{emit: r.expire, node: r.n, reach: r.ttl + 1})
		return r
	})
}

func (r *expiringRows[K, V]) forward(next receiver[change[K, V]]) { r.next = next }

func (r *expiringRows[K, V]) advance(timestamp int64) error {
	r.clock.advance(timestamp)
	return r.expire(r.clock.now)
}

// expire forwards the deletion of what expires at stream time now.
func (r *expiringRows[K, V]) expire(now int64) error {
	r.store.Advance(now)
	for e, err := range r.store.Expired(now - r.ttl) {
		if err != nil {
			return r.t.nodeError(r.n, err)
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
	r.store.Advance(r.clock.now) // a store that was rolled back may have forgotten
	return r.store.GetEncoded(key)
}

func (r *expiringRows[K, V]) set(key []byte, c *change[K, V]) (kept bool, err error) {
	c.Stale = false
	switch {
	case !c.HasNew:
		return true, r.store.DeleteEncoded(key)
	case c.Timestamp < r.clock.now-r.ttl:
		return false, nil
	}
	return true, r.store.PutEncoded(key, c.New, c.Timestamp)
}
