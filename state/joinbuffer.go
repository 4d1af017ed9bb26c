package state

import (
	"fmt"
	"iter"
	"math"

	"github.com/seed84377926/millrace/codecs"
)

// JoinBuffer keeps the records of one side of a stream-stream join for the other side to find: all of them, also those
// that are equal in key and timestamp. (Kafka Streams: a window store that retains duplicates.) It has the write-back
// cache of its task above a partition and belongs to one goroutine. What [KeyValue] says about values that hold pointers
// goes for this buffer too.
//
// The records of a key lie together, by timestamp and then in the order in which they came:
//
//	           10        10        12                          a local row for each record finds
//	LH         A #0      B #2      C #1                        it by timestamp, whatever the key,
//	BA                   D #3                                  so that Expire reads what it removes
//	           └── Fetch("LH", 10, 12) yields A, B, C
//
// The numbers are those of the buffer and go on after a restart. There are no rows for reading from outside: what a
// buffer holds is of use to its join only.
//
// Records go when stream time passes their timestamp by more than the retention of the spec, which is the length of the
// join window and its grace period. [JoinBuffer.Advance] tells stream time; what it has passed is not seen any more,
// whether Expire has removed it yet or not, and a record that is that old already is refused with [ErrTooOld].
type JoinBuffer[K, V any] struct {
	rows      *cache[V]
	byTime    *keyTimeOrder[V] // by timestamp, then sequence number
	latest    *latestRecords[V]
	key       codecs.Codec[K]
	seq       sequence
	retention int64 // milliseconds; 0 means forever
	history   horizon
	buf       []byte // scratch for encoded keys
	rowKey    []byte // scratch for store keys
}

var _ Store = (*JoinBuffer[int, int])(nil)

// JoinEntry is one record of a join buffer.
type JoinEntry[K, V any] struct {
	Key       K
	Timestamp int64 // milliseconds
	// Seq tells records of one key and timestamp apart. Later ones have higher numbers, with gaps.
	Seq   int64
	Value V
}

// NewJoinBuffer returns the join buffer that spec describes in part. A nil budget means one of its own with
// [DefaultBudgetBytes]. It fails if the spec is not valid or not that of a join store. The buffer does not know what
// stream time it had reached before: call Advance.
func NewJoinBuffer[K, V any](
	spec Spec, part Partition, budget *Budget, key codecs.Codec[K], value codecs.Codec[V],
) (*JoinBuffer[K, V], error) {
	if err := spec.validateKind(JoinKind); err != nil {
		return nil, err
	}
	rows := newCache(spec, part, budget, value)
	latest := newLatestRecords(rows)
	rows.release = latest.release
	return &JoinBuffer[K, V]{
		rows:      rows,
		latest:    latest,
		byTime:    newKeyTimeOrder(rows, joinSize),
		key:       key,
		retention: spec.Retention.Milliseconds(),
		history:   newHorizon(),
	}, nil
}

// Put adds a record and returns its sequence number. The buffer keeps value: the caller must not modify what it points
// to. It returns [ErrTooOld] for a record that stream time has passed by more than the retention.
func (s *JoinBuffer[K, V]) Put(key K, timestamp int64, value V) (seq int64, err error) {
	if s.buf, err = s.key.Append(s.buf[:0], key); err != nil {
		return 0, fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	return s.PutEncoded(s.buf, timestamp, value)
}

// PutEncoded is Put for a key that is encoded already. It does not keep key.
func (s *JoinBuffer[K, V]) PutEncoded(key []byte, timestamp int64, value V) (seq int64, err error) {
	if timestamp < s.history.now {
		return 0, fmt.Errorf("store %q: record at %d: %w, which begins at %d",
			s.rows.spec.Name, timestamp, ErrTooOld, s.history.now)
	}
	if err := s.load(); err != nil {
		return 0, err
	}
	if seq, err = s.seq.take(s.rows.part, s.rows.spec.Name); err != nil {
		return 0, err
	}
	s.rowKey = AppendJoinKey(s.rowKey[:0], key, timestamp, seq)
	s.rows.putNew(s.rowKey, value, timestamp).transient = true
	s.byTime.added(timestamp)
	s.latest.put(key, joinRecord[V]{timestamp: timestamp, seq: seq, value: value})
	return seq, nil
}

// Fetch yields the records of key with from <= timestamp <= to (milliseconds, both included, as the bounds of a join
// window are) by ascending timestamp and then in the order in which they came, changes that are not committed included.
// The loop body may change the buffer; changes are seen if the loop is not beyond them. It must not flush, commit or
// roll back. An error ends the sequence.
func (s *JoinBuffer[K, V]) Fetch(key K, from, to int64) iter.Seq2[JoinEntry[K, V], error] {
	return func(yield func(JoinEntry[K, V], error) bool) {
		encoded, err := s.key.Append(nil, key)
		if err != nil {
			yield(JoinEntry[K, V]{}, fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err))
			return
		}
		if from = max(from, s.history.now); from > to {
			return
		}
		low := AppendJoinKey(nil, encoded, from, math.MinInt64)
		// No record has this number.
		high := AppendJoinKey(nil, encoded, to, math.MaxInt64)
		for r, err := range s.rows.scan(low, high) {
			if err != nil {
				yield(JoinEntry[K, V]{}, err)
				return
			}
			e := JoinEntry[K, V]{Key: key, Value: r.value}
			e.Timestamp, e.Seq = joinTimes(r.key)
			if !yield(e, nil) {
				return
			}
		}
	}
}

// load reads what is to be in memory, the first time.
func (s *JoinBuffer[K, V]) load() error {
	if s.latest.loaded {
		return nil
	}
	return s.latest.load(s.history.now)
}

// FetchEncoded appends what [JoinBuffer.Fetch] would yield to dst, for a key that is encoded already, which is not kept. Their
// Key is not set. Recent records are in memory, as far as the budget goes: to look for them reads and allocates nothing.
func (s *JoinBuffer[K, V]) FetchEncoded(dst []JoinEntry[K, V], key []byte, from, to int64) ([]JoinEntry[K, V], error) {
	if from = max(from, s.history.now); from > to {
		return dst, nil
	}
	if err := s.load(); err != nil {
		return dst, err
	}
	if s.latest.holds(from, to) {
		for _, r := range s.latest.between(key, from, to) {
			dst = append(dst, JoinEntry[K, V]{Timestamp: r.timestamp, Seq: r.seq, Value: r.value})
		}
		return dst, nil
	}
	return s.read(dst, key, from, to)
}

// read is FetchEncoded for records that are not all in memory.
func (s *JoinBuffer[K, V]) read(dst []JoinEntry[K, V], key []byte, from, to int64) ([]JoinEntry[K, V], error) {
	low := AppendJoinKey(nil, key, from, math.MinInt64)
	high := AppendJoinKey(nil, key, to, math.MaxInt64)
	for r, err := range s.rows.scan(low, high) {
		if err != nil {
			return dst, err
		}
		e := JoinEntry[K, V]{Value: r.value}
		e.Timestamp, e.Seq = joinTimes(r.key)
		dst = append(dst, e)
	}
	return dst, nil
}

// Advance says that stream time has reached the given time (milliseconds): records that are older by more than the
// retention are not seen any more. It costs nothing.
func (s *JoinBuffer[K, V]) Advance(streamTime int64) {
	if s.retention > 0 {
		s.history.raise(minus(streamTime, s.retention))
	}
}

// Expire deletes records with a timestamp before the given time (milliseconds), which is stream time less the
// retention, and returns how many there were. It deletes no more than limit records, if limit is above 0, so that a jump
// of stream time does not make one commit of all that is behind; the others are not seen any more and are for the next
// call. It costs nothing if no record is that old.
func (s *JoinBuffer[K, V]) Expire(before int64, limit int) (n int, err error) {
	s.history.raise(before)
	s.latest.trim(s.history.now)
	if before == math.MinInt64 {
		return 0, nil
	}
	if limit <= 0 {
		limit = math.MaxInt
	}
	return s.byTime.expireSome(before-1, limit)
}

// Spec implements [Store].
func (s *JoinBuffer[K, V]) Spec() Spec { return s.rows.spec }

// Flush implements [Store].
func (s *JoinBuffer[K, V]) Flush(b *Batch) error {
	s.history.flush()
	s.seq.flush(b, s.rows.partitionKey(nil))
	return s.rows.flush(b)
}

// Committed implements [Store].
func (s *JoinBuffer[K, V]) Committed() {
	s.history.commit()
	s.seq.commit()
	s.rows.committed()
	if s.seq.next == s.seq.committed {
		s.latest.commit()
	}
}

// Rollback implements [Store]. Records are seen that were at the last commit; a buffer without one does not know stream
// time again.
func (s *JoinBuffer[K, V]) Rollback() {
	s.history.rollback()
	s.seq.rollback()
	s.rows.rollback()
	s.byTime.rolledBack()
	s.latest.rollback(s.seq.next)
}

// DirtyBytes implements [Store].
func (s *JoinBuffer[K, V]) DirtyBytes() int64 { return s.rows.account.dirty }

// Close implements [Store].
func (s *JoinBuffer[K, V]) Close() { s.rows.close() }
