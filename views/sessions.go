package views

import (
	"context"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// SessionView is the typed view of a session store. It is safe for concurrent use.
type SessionView[K, V any] struct {
	typed[K]

	reader *state.SessionReader[K, V]
}

// Sessions returns the typed view of a session store of vs. The codecs must be the ones that the topology uses.
func Sessions[K, V any](vs *Views, store string, key codecs.Codec[K], value codecs.Codec[V]) (*SessionView[K, V], error) {
	group, _, err := vs.find(store, state.SessionKind)
	if err != nil {
		return nil, err
	}
	return &SessionView[K, V]{typed: typed[K]{group, key}, reader: state.NewSessionReader(store, key, value)}, nil
}

// Get returns the value of key's session with exactly these bounds, and whether it exists.
func (v *SessionView[K, V]) Get(ctx context.Context, key K, session state.Session) (value V, ok bool, err error) {
	part, err := v.partitionOf(ctx, key)
	if err != nil {
		return value, false, err
	}
	value, _, ok, err = v.reader.Get(part, key, session)
	return value, ok, err
}

// Fetch yields the sessions of key that overlap [from, to], in milliseconds since the epoch, in the order of their
// ends. It ends after the first error.
func (v *SessionView[K, V]) Fetch(ctx context.Context, key K, from, to int64) iter.Seq2[state.SessionEntry[K, V], error] {
	return v.inPartitionOf(ctx, key, func(part state.Partition) iter.Seq2[state.SessionEntry[K, V], error] {
		return v.reader.FindSessions(part, key, from, to)
	})
}
