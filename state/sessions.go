package state

import (
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/seed84377926/millrace/codecs"
)

// Session is a span of event time between two records: the milliseconds t with Start <= t <= End. Unlike the end of a
// [Window], the end belongs to the session; a session of one record starts and ends at the same time.
type Session struct{ Start, End int64 }

// StartTime returns the first instant of the session, in UTC.
func (s Session) StartTime() time.Time { return time.UnixMilli(s.Start).UTC() }

// EndTime returns the last instant of the session, in UTC.
func (s Session) EndTime() time.Time { return time.UnixMilli(s.End).UTC() }

// String returns the session as an ISO 8601 interval: start, slash, end.
func (s Session) String() string { return Window(s).String() }

func (s Session) validate() error {
	if s.Start > s.End {
		return fmt.Errorf("session starts at %d, after its end at %d", s.Start, s.End)
	}
	return nil
}

// Sessions is a store of one row for each key and session, with the write-back cache of its task above a partition. It
// belongs to one goroutine. The rule of [KeyValue] for values that hold pointers applies.
//
// The sessions of a key are stored together, sorted by end. Each session has a local row whose key begins with the end,
// so that [Sessions.Expire] reads only the sessions that it removes.
type Sessions[K, V any] struct {
	rows   *cache[V]
	byTime *keyTimeOrder[V] // by end
	recent *recentRows[V]
	key    codecs.Codec[K]
	buf    []byte // scratch for encoded keys
	rowKey []byte // scratch for store keys
}

var _ Store = (*Sessions[int, int])(nil)

// SessionEntry is one row of a session store.
type SessionEntry[K, V any] struct {
	Key       K
	Session   Session
	Value     V
	Timestamp int64 // milliseconds
}

// NewSessions returns the session store that spec describes, in the partition part. A nil budget means a budget of its
// own with [DefaultBudgetBytes]. It fails if the spec is not valid or does not describe a session store.
func NewSessions[K, V any](
	spec Spec, part Partition, budget *Budget, key codecs.Codec[K], value codecs.Codec[V],
) (*Sessions[K, V], error) {
	if err := spec.validateKind(SessionKind); err != nil {
		return nil, err
	}
	rows := newCache(spec, part, budget, value)
	return &Sessions[K, V]{
		rows:   rows,
		byTime: newKeyTimeOrder(rows, sessionSize),
		recent: newRecentRows(rows, sessionSize),
		key:    key,
	}, nil
}

// Get returns the value and the timestamp of the session of key with exactly that start and end, and false if there is
// none.
func (s *Sessions[K, V]) Get(key K, session Session) (value V, timestamp int64, ok bool, err error) {
	if err := s.encode(key, session); err != nil {
		return value, 0, false, err
	}
	return s.get()
}

// GetEncoded is Get for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *Sessions[K, V]) GetEncoded(key []byte, session Session) (value V, timestamp int64, ok bool, err error) {
	s.rowKey = AppendSessionKey(s.rowKey[:0], key, session)
	return s.get()
}

func (s *Sessions[K, V]) get() (value V, timestamp int64, ok bool, err error) {
	r, err := s.rows.get(s.rowKey)
	if err != nil {
		return value, 0, false, err
	}
	return r.value, r.timestamp, r.present, nil
}

// Put sets the value of the session of key. The store keeps value until it is replaced or evicted: the caller must not
// modify what it points to. It fails if the session ends before it starts.
func (s *Sessions[K, V]) Put(key K, session Session, value V, timestamp int64) error {
	if err := s.encode(key, session); err != nil {
		return err
	}
	s.put(s.buf, session, value, timestamp)
	return nil
}

// PutEncoded is Put for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *Sessions[K, V]) PutEncoded(key []byte, session Session, value V, timestamp int64) error {
	if err := session.validate(); err != nil {
		return fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	s.rowKey = AppendSessionKey(s.rowKey[:0], key, session)
	s.put(key, session, value, timestamp)
	return nil
}

func (s *Sessions[K, V]) put(key []byte, session Session, value V, timestamp int64) {
	s.recent.put(key, s.rowKey, value, timestamp)
	s.byTime.added(session.End)
}

// Remove removes the session of key with exactly that start and end, which need not exist.
func (s *Sessions[K, V]) Remove(key K, session Session) error {
	if err := s.encode(key, session); err != nil {
		return err
	}
	s.recent.remove(s.buf, s.rowKey)
	return nil
}

// RemoveEncoded is Remove for a key that is encoded already. It does not keep key.
func (s *Sessions[K, V]) RemoveEncoded(key []byte, session Session) error {
	s.rowKey = AppendSessionKey(s.rowKey[:0], key, session)
	s.recent.remove(key, s.rowKey)
	return nil
}

// FindSessions yields the sessions of key with End >= earliestEnd and Start <= latestStart (milliseconds, both
// included) by ascending end and then start, including uncommitted changes. A record at t continues exactly the
// sessions in FindSessions(key, t-gap, t+gap).
//
// Sessions may overlap, so all sessions of the key from earliestEnd on are examined. The loop body may change the
// store; the loop sees changes ahead of its position, so a caller that merges sessions puts the result after the loop.
// The body must not flush, commit or roll back. An error ends the sequence.
func (s *Sessions[K, V]) FindSessions(key K, earliestEnd, latestStart int64) iter.Seq2[SessionEntry[K, V], error] {
	return func(yield func(SessionEntry[K, V], error) bool) {
		low, high, err := sessionBounds(s.rows.spec.Name, s.key, key, earliestEnd)
		if err != nil {
			yield(SessionEntry[K, V]{}, err)
			return
		}
		yieldSessions(key, latestStart, s.rows.scan(low, high), yield)
	}
}

// FindSessionsEncoded appends what [Sessions.FindSessions] would yield to dst, for a key that is encoded already. It
// does not keep key, and leaves Key of the entries unset. While the budget allows, the sessions of recently used keys
// are tracked, so that repeated and later lookups neither read nor allocate.
func (s *Sessions[K, V]) FindSessionsEncoded(
	dst []SessionEntry[K, V], key []byte, earliestEnd, latestStart int64,
) ([]SessionEntry[K, V], error) {
	rows, ok, err := s.recent.find(key, earliestEnd, math.MaxInt64)
	if err != nil {
		return dst, err
	}
	for _, r := range rows {
		r.referenced = true
		session := Session{Start: timeAt(r.key, len(r.key)-timeSize), End: s.recent.time(r.key)}
		if session.Start <= latestStart {
			dst = append(dst, SessionEntry[K, V]{Session: session, Value: r.value, Timestamp: r.timestamp})
		}
	}
	if ok {
		return dst, nil
	}
	return appendAll(dst, func(yield func(SessionEntry[K, V], error) bool) {
		low, high := encodedSessionBounds(key, earliestEnd)
		var none K
		yieldSessions(none, latestStart, s.rows.scan(low, high), yield)
	})
}

// Ended yields the sessions of all keys with after < End <= last (milliseconds), by ascending end, then start, then in
// the order of their escaped keys, including uncommitted changes. It is meant for consecutive ranges: a range that
// begins where the last one ended costs almost nothing if no session ended in it. The loop body may read the store and
// change sessions that end later; it must not flush, commit or roll back. An error ends the sequence.
func (s *Sessions[K, V]) Ended(after, last int64) iter.Seq2[SessionEntry[K, V], error] {
	return func(yield func(SessionEntry[K, V], error) bool) {
		for r, err := range s.byTime.inOrder(after, last) {
			var e SessionEntry[K, V]
			if err == nil {
				e, err = s.entryOf(r)
			}
			if err != nil {
				yield(SessionEntry[K, V]{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *Sessions[K, V]) entryOf(r scanned[V]) (e SessionEntry[K, V], err error) {
	if s.buf, e.Session, err = SplitSessionKey(s.buf[:0], r.key); err != nil {
		return e, fmt.Errorf("store %q: %w", s.rows.spec.Name, err)
	}
	e.Value, e.Timestamp = r.value, r.timestamp
	e.Key, err = decodeKey(s.rows.spec.Name, s.key, s.buf)
	return e, err
}

// Expire deletes all sessions with an end before the given time (milliseconds) and returns how many there were. It
// costs nothing if no session is that old.
func (s *Sessions[K, V]) Expire(before int64) (n int, err error) {
	if before == math.MinInt64 {
		return 0, nil
	}
	return s.byTime.expire(before - 1)
}

// Spec implements [Store].
func (s *Sessions[K, V]) Spec() Spec { return s.rows.spec }

// Flush implements [Store].
func (s *Sessions[K, V]) Flush(b *Batch) error { return s.rows.flush(b) }

// Committed implements [Store].
func (s *Sessions[K, V]) Committed() {
	s.rows.committed()
	s.byTime.reordered()
}

// Rollback implements [Store].
func (s *Sessions[K, V]) Rollback() {
	s.recent.forget()
	s.rows.rollback()
	s.byTime.rolledBack()
}

// DirtyBytes implements [Store].
func (s *Sessions[K, V]) DirtyBytes() int64 { return s.rows.account.dirty }

// Close implements [Store].
func (s *Sessions[K, V]) Close() { s.rows.close() }

// encode leaves the store key in s.rowKey.
func (s *Sessions[K, V]) encode(key K, session Session) (err error) {
	if s.buf, err = s.key.Append(s.buf[:0], key); err == nil {
		err = session.validate()
	}
	if err != nil {
		return fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	s.rowKey = AppendSessionKey(s.rowKey[:0], s.buf, session)
	return nil
}

// sessionBounds returns the bounds of the store keys of the sessions of key that end at earliestEnd or later.
func sessionBounds[K any](store string, codec codecs.Codec[K], key K, earliestEnd int64) (low, high []byte, err error) {
	encoded, err := codec.Append(nil, key)
	if err != nil {
		return nil, nil, fmt.Errorf("store %q: key: %w", store, err)
	}
	low, high = encodedSessionBounds(encoded, earliestEnd)
	return low, high, nil
}

func encodedSessionBounds(key []byte, earliestEnd int64) (low, high []byte) {
	escaped := appendEscaped(nil, key)
	high = afterEscaped(escaped)
	return appendInt64(appendInt64(escaped, earliestEnd), math.MinInt64), high
}

// yieldSessions yields the sessions among rows that start at latestStart or before.
func yieldSessions[K, V any](
	key K, latestStart int64, rows iter.Seq2[scanned[V], error], yield func(SessionEntry[K, V], error) bool,
) {
	for r, err := range rows {
		if err != nil {
			yield(SessionEntry[K, V]{}, err)
			return
		}
		session := sessionOf(r.key)
		if session.Start > latestStart {
			continue
		}
		if !yield(SessionEntry[K, V]{Key: key, Session: session, Value: r.value, Timestamp: r.timestamp}, nil) {
			return
		}
	}
}
