package state

import (
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
)

// SessionReader reads the committed rows of a session store, from any partition that holds them. It has no cache and no
// state, and is safe for concurrent use.
type SessionReader[K, V any] struct {
	name  string
	key   codecs.Codec[K]
	value codecs.Codec[V]
}

// NewSessionReader returns a reader of the session store with the given name.
func NewSessionReader[K, V any](name string, key codecs.Codec[K], value codecs.Codec[V]) *SessionReader[K, V] {
	return &SessionReader[K, V]{name: name, key: key, value: value}
}

// Get returns the value and the timestamp of the session of key with exactly that start and end, and false if there is
// none.
func (r *SessionReader[K, V]) Get(
	part Reader, key K, session Session,
) (value V, timestamp int64, ok bool, err error) {
	encoded, err := r.key.Append(nil, key)
	if err != nil {
		return value, 0, false, fmt.Errorf("store %q: key: %w", r.name, err)
	}
	return readRow(r.name, r.value, part, AppendSessionKey(AppendRowKey(nil, r.name, nil), encoded, session))
}

// FindSessions yields the sessions of key with End >= earliestEnd and Start <= latestStart (milliseconds, both
// included) by ascending end and then start, as they were when the loop began. An error ends the sequence.
func (r *SessionReader[K, V]) FindSessions(
	part Reader, key K, earliestEnd, latestStart int64,
) iter.Seq2[SessionEntry[K, V], error] {
	return func(yield func(SessionEntry[K, V], error) bool) {
		low, high, err := sessionBounds(r.name, r.key, key, earliestEnd)
		if err != nil {
			yield(SessionEntry[K, V]{}, err)
			return
		}
		yieldSessions(key, latestStart, scanRows(r.name, r.value, part, low, high), yield)
	}
}

// All yields the sessions of all keys with from <= End < to (milliseconds), by ascending end, then start, then in the
// order of their escaped keys. It finds them through the time order, so that only these sessions are read. The loop
// yields the sessions that existed when it began, each with its value at the time when the loop reaches it. An error
// ends the sequence.
func (r *SessionReader[K, V]) All(part Reader, from, to int64) iter.Seq2[SessionEntry[K, V], error] {
	return func(yield func(SessionEntry[K, V], error) bool) {
		for local, err := range scanTimeOrder(part, r.name, from) {
			if err == nil && local.time >= to {
				return
			}
			var e SessionEntry[K, V]
			found := false
			if err == nil {
				e, found, err = r.read(part, appendStoreKeyOfLocal(nil, local.suffix, sessionSize))
			}
			if err != nil {
				yield(SessionEntry[K, V]{}, fmt.Errorf("scan store %q: %w", r.name, err))
				return
			}
			// The session may have been removed since the loop began.
			if found && !yield(e, nil) {
				return
			}
		}
	}
}

func (r *SessionReader[K, V]) read(part Reader, storeKey []byte) (e SessionEntry[K, V], ok bool, err error) {
	encoded, session, err := SplitSessionKey(nil, storeKey)
	if err != nil {
		return e, false, err
	}
	if e.Key, err = decodeKey(r.name, r.key, encoded); err != nil {
		return e, false, err
	}
	e.Session = session
	e.Value, e.Timestamp, ok, err = readRow(r.name, r.value, part, AppendRowKey(nil, r.name, storeKey))
	return e, ok, err
}
