package state

import (
	"fmt"
	"iter"
	"math"

	"github.com/seed84377926/millrace/codecs"
)

// JoinBuffer keeps the records of one side of a stream-stream join, so that records of the other side find them. It
// keeps all records, even if key and timestamp are equal. (Kafka Streams: a window store that retains duplicates.) It
// has a write-back cache above a partition and belongs to one goroutine. The rule of [KeyValue] for values that hold
// pointers applies.
//
// The records of a key are stored together, by timestamp and then in the order of their arrival:
//
//	           10        10        12                          a local row for each record finds
//	LH         A #0      B #2      C #1                        it by timestamp, whatever the key,
//	BA                   D #3                                  so that Expire reads what it removes
//	           └── Fetch("LH", 10, 12) yields A, B, C
//
// The buffer numbers its records, and continues after a restart. It has no reader, because only the join uses its
// buffer.
//
// Records expire when stream time passes their timestamp by more than the retention of the spec, which is the length of
// the join window plus its grace period. [JoinBuffer.Advance] sets stream time. Expired records are not visible, even
// before Expire has removed them, and Put refuses an expired record with [ErrTooOld].
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
	// Seq distinguishes records of one key and timestamp. Later records have higher numbers, with gaps.
	Seq   int64
	Value V
}

// NewJoinBuffer returns the join buffer that spec describes, in the partition part. A nil budget means a budget of its
// own with [DefaultBudgetBytes]. It fails if the spec is not valid or does not describe a join store. The buffer does
// not restore stream time: call Advance.
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
// to. It returns [ErrTooOld] for a record that has expired.
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

// Fetch yields the records of key with from <= timestamp <= to, including uncommitted changes, by ascending timestamp
// and then in the order of their arrival. The bounds are in milliseconds and both included, like the bounds of a join
// window. The loop body may change the buffer; the loop sees changes ahead of its position. The body must not flush,
// commit or roll back. An error ends the sequence.
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
		// No record has the number math.MaxInt64.
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

// load reads the recent records into memory, once.
func (s *JoinBuffer[K, V]) load() error {
	if s.latest.loaded {
		return nil
	}
	return s.latest.load(s.history.now)
}

// FetchEncoded appends what [JoinBuffer.Fetch] would yield to dst, for a key that is encoded already. It does not keep
// key, and leaves Key of the entries unset. While the budget allows, recent records are in memory, so that looking them
// up neither reads nor allocates.
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

// read is FetchEncoded for a range that is not completely in memory.
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

// Advance sets stream time to the given time (milliseconds), unless it is later already. Records that are older by more
// than the retention are not visible any more. It costs nothing.
func (s *JoinBuffer[K, V]) Advance(streamTime int64) {
	if s.retention > 0 {
		s.history.raise(minus(streamTime, s.retention))
	}
}

// Expire deletes records with a timestamp before the given time (milliseconds), which is stream time less the
// retention, and returns how many it deleted. If limit is above 0, it deletes at most limit records, so that a jump of
// stream time does not put all expired records into one commit. The others are invisible and are left for the next
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

// Rollback implements [Store]. It sets stream time back to the last commit; before the first commit stream time is
// unknown.
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
