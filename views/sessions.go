package views

import (
	"context"
	"iter"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// SessionView is the typed view of a session store. It is safe for concurrent use.
type SessionView[K, V any] struct {
	group  *groupView
	key    codecs.Codec[K]
	reader *state.SessionReader[K, V]
}

// Sessions returns the typed view of a session store of vs. The codecs must be those the topology writes it with.
func Sessions[K, V any](vs *Views, store string, key codecs.Codec[K], value codecs.Codec[V]) (*SessionView[K, V], error) {
	group, _, err := vs.find(store, state.SessionKind)
	if err != nil {
		return nil, err
	}
	return &SessionView[K, V]{group: group, key: key, reader: state.NewSessionReader(store, key, value)}, nil
}

// Get returns the value of the session of key that is exactly this one, and whether there is one.
func (v *SessionView[K, V]) Get(ctx context.Context, key K, session state.Session) (value V, ok bool, err error) {
	part, err := partitionOf(ctx, v.group, v.key, key)
	if err != nil {
		return value, false, err
	}
	value, _, ok, err = v.reader.Get(part, key, session)
	return value, ok, err
}

// Fetch yields the sessions of key that have something in [from, to], in milliseconds since the epoch, by their ends. It ends
// after the first error.
func (v *SessionView[K, V]) Fetch(ctx context.Context, key K, from, to int64) iter.Seq2[state.SessionEntry[K, V], error] {
	return inPartitionOf(ctx, v.group, v.key, key, func(part state.Partition) iter.Seq2[state.SessionEntry[K, V], error] {
		return v.reader.FindSessions(part, key, from, to)
	})
}

// Wait blocks until the view covers the offsets required. When ctx ends first it returns a *BehindError.
func (v *SessionView[K, V]) Wait(ctx context.Context, required state.Offsets) error {
	return v.group.freshness.wait(ctx, required)
}

// Position returns the source offsets the view reflects.
func (v *SessionView[K, V]) Position() state.Offsets { return v.group.freshness.position() }
