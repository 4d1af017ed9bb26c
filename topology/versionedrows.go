package topology

import (
	"errors"
	"math"

	"github.com/seed84377926/millrace/state"
)

// versionedRows are rows with their history.
type versionedRows[K, V any] struct {
	store *state.Versioned[K, V]
	clock *operatorClock
}

func (s *tableStore[K, V]) openVersioned(t *Task) *versionedRows[K, V] {
	return once(t, s.info, func() *versionedRows[K, V] {
		store, err := state.NewVersioned(s.info.spec, t.cfg.State, t.cfg.Budget, s.key, s.value)
		if err != nil {
			t.fail(err)
			return nil
		}
		t.stores = append(t.stores, store)
		return &versionedRows[K, V]{store, t.forgetting(s.info.spec.Name, s.info.spec.Retention, store.Expire)}
	})
}

func (r *versionedRows[K, V]) forward(receiver[change[K, V]]) {}

func (r *versionedRows[K, V]) advance(timestamp int64) error {
	r.clock.advance(timestamp)
	r.store.Advance(r.clock.now)
	return nil
}

func (r *versionedRows[K, V]) get(key []byte) (V, int64, bool, error) { return r.store.GetEncoded(key) }

func (r *versionedRows[K, V]) set(key []byte, c *change[K, V]) (kept bool, err error) {
	var next int64
	if c.HasNew {
		next, err = r.store.PutEncoded(key, c.New, c.Timestamp)
	} else {
		next, err = r.store.DeleteEncoded(key, c.Timestamp)
	}
	if errors.Is(err, state.ErrTooOld) {
		return false, nil
	}
	c.Stale = next != math.MaxInt64
	return true, err
}

// getAsOf returns the row of a key as it was at a time, as Kafka Streams does: before history only the latest version is
// known.
func (r *versionedRows[K, V]) getAsOf(key []byte, asOf int64) (value V, timestamp int64, ok bool, err error) {
	r.store.Advance(r.clock.now) // a store that was rolled back may have forgotten
	if asOf >= r.store.HistoryStart() {
		return r.store.GetAsOfEncoded(key, asOf)
	}
	latest, timestamp, ok, err := r.store.GetEncoded(key)
	if err != nil || !ok || timestamp > asOf {
		return value, 0, false, err
	}
	return latest, timestamp, true, nil
}
