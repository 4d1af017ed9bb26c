package state

import (
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
)

// Expiring is a key-value store whose rows expire when stream time passes their timestamp by more than the TTL of the
// spec. Otherwise it is like [KeyValue], whose rule for values that hold pointers applies, too. It belongs to one
// goroutine.
//
// [Expiring.Advance] sets stream time. Reads skip expired rows, even before Expire has removed them, so that the
// results depend on the task's input and not on its commits. A row that is put with an expired timestamp is not visible
// either, and the row that it replaced is gone.
//
// Each row has a local row whose key begins with the timestamp, so that Expire reads only the rows that it removes.
// When a row changes, its local row moves if the row is cached. Otherwise the old local row stays until Expire reads
// it.
type Expiring[K, V any] struct {
	kv    KeyValue[K, V]
	ttl   int64 // milliseconds
	alive horizon
	order expiringOrder[V]
}

var _ Store = (*Expiring[int, int])(nil)

// NewExpiring returns the key-value store with a TTL that spec describes, in the partition part. A nil budget means a
// budget of its own with [DefaultBudgetBytes]. It fails if the spec is not valid or does not describe a key-value store
// with a TTL. The store does not restore stream time: call Advance.
func NewExpiring[K, V any](
	spec Spec, part Partition, budget *Budget, key codecs.Codec[K], value codecs.Codec[V],
) (*Expiring[K, V], error) {
	if err := spec.validateKind(KeyValueKind); err != nil {
		return nil, err
	}
	if spec.TTL == 0 {
		return nil, fmt.Errorf("store %q: TTL is 0: want the time that rows live", spec.Name)
	}
	rows := newCache(spec, part, budget, value)
	return &Expiring[K, V]{
		kv:    KeyValue[K, V]{rows: rows, key: key},
		ttl:   spec.TTL.Milliseconds(),
		alive: newHorizon(),
		order: newExpiringOrder(rows),
	}, nil
}

// Get returns the value of key and its timestamp in milliseconds, and false if there is none or it has expired.
func (s *Expiring[K, V]) Get(key K) (value V, timestamp int64, ok bool, err error) {
	if err := s.kv.encode(key); err != nil {
		return value, 0, false, err
	}
	return s.GetEncoded(s.kv.buf)
}

// GetEncoded is Get for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *Expiring[K, V]) GetEncoded(key []byte) (value V, timestamp int64, ok bool, err error) {
	r, err := s.kv.rows.get(key)
	if err != nil || !r.present || r.timestamp < s.alive.now {
		return value, 0, false, err
	}
	return r.value, r.timestamp, true, nil
}

// Put sets the value of key, until one TTL after the timestamp (milliseconds). The store keeps value until it is
// replaced or evicted: the caller must not modify what it points to.
func (s *Expiring[K, V]) Put(key K, value V, timestamp int64) error {
	if err := s.kv.encode(key); err != nil {
		return err
	}
	return s.PutEncoded(s.kv.buf, value, timestamp)
}

// PutEncoded is Put for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *Expiring[K, V]) PutEncoded(key []byte, value V, timestamp int64) error {
	s.order.put(s.kv.rows.put(key, value, timestamp))
	return nil
}

// Delete removes key, which need not exist.
func (s *Expiring[K, V]) Delete(key K) error { return s.kv.Delete(key) }

// DeleteEncoded is Delete for a key that is encoded already. It does not keep key.
func (s *Expiring[K, V]) DeleteEncoded(key []byte) error { return s.kv.DeleteEncoded(key) }

// Range yields the rows with lo <= key < hi that have not expired, as [KeyValue.Range] does.
func (s *Expiring[K, V]) Range(lo, hi *K) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		for e, err := range s.kv.Range(lo, hi) {
			if err == nil && e.Timestamp < s.alive.now {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Advance sets stream time to the given time (milliseconds), unless it is later already. Rows that are older by more
// than the TTL are not visible any more. It costs nothing.
func (s *Expiring[K, V]) Advance(streamTime int64) { s.alive.raise(minus(streamTime, s.ttl)) }

// Expire deletes all rows with a timestamp before the given time (milliseconds), which is stream time less the TTL, and
// returns how many it deleted. It costs almost nothing if no row is that old.
func (s *Expiring[K, V]) Expire(before int64) (n int, err error) {
	for _, err := range s.Expired(before) {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Expired deletes the rows with a timestamp before the given time (milliseconds), which is stream time less the TTL,
// and yields them by timestamp and then in the order of their encoded keys. A row is deleted before it is yielded. The
// loop body may change the store; it must not flush, commit or roll back. An error ends the sequence. It costs almost
// nothing if no row is that old.
func (s *Expiring[K, V]) Expired(before int64) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		s.alive.raise(before)
		for {
			var e Entry[K, V]
			r, err := s.order.next(before)
			if err == nil && r == nil {
				return
			}
			if err == nil {
				e.Value, e.Timestamp = r.value, r.timestamp
				e.Key, err = decodeKey(s.kv.rows.spec.Name, s.kv.key, []byte(r.key))
			}
			if err != nil {
				yield(Entry[K, V]{}, fmt.Errorf("expire store %q: %w", s.kv.rows.spec.Name, err))
				return
			}
			s.kv.rows.remove(r)
			r.transient = true
			s.kv.rows.counts.expired++
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Spec implements [Store].
func (s *Expiring[K, V]) Spec() Spec { return s.kv.Spec() }

// Flush implements [Store].
func (s *Expiring[K, V]) Flush(b *Batch) error {
	s.alive.flush()
	s.order.flush(b) // before the rows, because a row may need one of the deleted local rows again
	return s.kv.rows.flush(b)
}

// Committed implements [Store].
func (s *Expiring[K, V]) Committed() {
	s.alive.commit()
	s.kv.rows.committed()
	s.order.commit()
}

// Rollback implements [Store]. It sets stream time back to the last commit; before the first commit stream time is
// unknown.
func (s *Expiring[K, V]) Rollback() {
	s.alive.rollback()
	s.kv.rows.rollback()
	s.order.rollback()
}

// DirtyBytes implements [Store].
func (s *Expiring[K, V]) DirtyBytes() int64 { return s.kv.DirtyBytes() }

// Close implements [Store].
func (s *Expiring[K, V]) Close() { s.kv.Close() }
