package state

import (
	"bytes"
	"fmt"
	"iter"
	"math"

	"github.com/seed84377926/millrace/codecs"
)

// TimeQueue keeps records in the order of their times until they are due: records that have found no record to join
// with yet, or records that wait for the grace period of a table. (Kafka Streams: the shared store of an outer join,
// and the time-ordered buffer of a join with a grace period.) It has a write-back cache above a partition and belongs
// to one goroutine. The rule of [KeyValue] for values that hold pointers applies.
//
//	head                                                          the order is that of the rows:
//	10 right LH #4   10 left BA #0   10 left BA #3   12 left LH #1    time, side, key, sequence number
//	└───────────── Scan(11) ───────────────────┘
//
// Entries with equal time, side and key are all kept. The queue numbers its entries to distinguish them, and continues
// after a restart. It has no reader, because only the join uses its queue.
type TimeQueue[K, V any] struct {
	rows   *cache[V]
	key    codecs.Codec[K]
	seq    sequence
	oldest int64 // no entry has a lower time, so Scan knows when nothing is due
	late   int64 // the lowest time that was put since the running scan began
	// at is the store key of the row that a scan yields, so that its removal need not read it again. It is nil outside
	// scans and after the row was removed.
	at     []byte
	buf    []byte // scratch for encoded keys
	rowKey []byte // scratch for store keys
}

var _ Store = (*TimeQueue[int, int])(nil)

// JoinSide says on which side of a join a record came. It is a part of the order of a [TimeQueue]: of two records with
// the same timestamp, the record of the right side comes first, as in Kafka Streams.
type JoinSide uint8

const (
	// RightSide is the right side of a join.
	RightSide JoinSide = iota
	// LeftSide is the left side of a join, also of a join with only one buffered side.
	LeftSide
)

// QueuePlace is the place of an entry in a [TimeQueue]. Together with the key it identifies the entry.
type QueuePlace struct {
	// Time is in milliseconds.
	Time int64
	// Side is the side of the record.
	Side JoinSide
	// Seq distinguishes entries that are otherwise equal. Later entries have higher numbers, with gaps.
	Seq int64
}

// QueueEntry is one entry of a time queue.
type QueueEntry[K, V any] struct {
	QueuePlace
	Key   K
	Value V
}

// NewTimeQueue returns the time queue that spec describes, in the partition part. A nil budget means a budget of its
// own with [DefaultBudgetBytes]. It fails if the spec is not valid or does not describe a queue store.
func NewTimeQueue[K, V any](
	spec Spec, part Partition, budget *Budget, key codecs.Codec[K], value codecs.Codec[V],
) (*TimeQueue[K, V], error) {
	if err := spec.validateKind(QueueKind); err != nil {
		return nil, err
	}
	return &TimeQueue[K, V]{
		rows: newCache(spec, part, budget, value), key: key, oldest: math.MinInt64, late: math.MaxInt64,
	}, nil
}

// Put adds an entry with the given time (milliseconds) and returns its place, which Remove needs. The queue keeps
// value: the caller must not modify what it points to.
func (s *TimeQueue[K, V]) Put(key K, time int64, side JoinSide, value V) (QueuePlace, error) {
	if err := s.encode(key); err != nil {
		return QueuePlace{}, err
	}
	if side > LeftSide {
		return QueuePlace{}, fmt.Errorf("store %q: side %d is neither right nor left", s.rows.spec.Name, side)
	}
	seq, err := s.seq.take(s.rows.part, s.rows.spec.Name)
	if err != nil {
		return QueuePlace{}, err
	}
	place := QueuePlace{Time: time, Side: side, Seq: seq}
	s.add(s.buf, place, value)
	return place, nil
}

// PutAt adds an entry at a place that the caller chose, for a key that is encoded already. It does not keep key. The
// number is the number of the record in the [JoinBuffer] of the same side, so that a caller that finds the record there
// can remove the entry. A queue is filled by Put or by PutAt, never by both.
func (s *TimeQueue[K, V]) PutAt(key []byte, place QueuePlace, value V) error {
	if place.Side > LeftSide {
		return fmt.Errorf("store %q: side %d is neither right nor left", s.rows.spec.Name, place.Side)
	}
	s.add(key, place, value)
	return nil
}

func (s *TimeQueue[K, V]) add(key []byte, place QueuePlace, value V) {
	s.rowKey = AppendQueueKey(s.rowKey[:0], key, place)
	s.rows.putNew(s.rowKey, value, place.Time)
	s.oldest, s.late = min(s.oldest, place.Time), min(s.late, place.Time)
}

// Remove removes the entry of key with exactly that place and reports whether there was one. It reads the partition
// unless the entry is cached or is being yielded by [TimeQueue.Scan].
func (s *TimeQueue[K, V]) Remove(key K, place QueuePlace) (removed bool, err error) {
	if err := s.encode(key); err != nil {
		return false, err
	}
	return s.RemoveEncoded(s.buf, place)
}

// RemoveEncoded is Remove for a key that is encoded already. It does not keep key.
func (s *TimeQueue[K, V]) RemoveEncoded(key []byte, place QueuePlace) (removed bool, err error) {
	if place.Time < s.oldest {
		return false, nil
	}
	s.rowKey = AppendQueueKey(s.rowKey[:0], key, place)
	var r *row[V]
	if s.at != nil && bytes.Equal(s.at, s.rowKey) {
		s.at = nil
		if r = s.rows.lookup(s.rowKey); r == nil {
			r = &row[V]{present: true, committed: exists}
			s.rows.insert(r, s.rowKey, 0)
		}
	} else if r, err = s.rows.get(s.rowKey); err != nil {
		return false, err
	}
	removed = r.present
	s.rows.counts.deletes++
	s.rows.remove(r)
	r.transient = true
	return removed, nil
}

// Head returns the first entry, and false if the queue is empty. It reads the partition. To learn whether an entry is
// due, call Scan, which costs nothing if none is.
func (s *TimeQueue[K, V]) Head() (e QueueEntry[K, V], ok bool, err error) {
	for e, err := range s.Scan(math.MaxInt64) {
		return e, err == nil, err
	}
	return e, false, nil
}

// Scan yields the entries with a time of last or before (milliseconds) in the order of the queue, including uncommitted
// changes. It costs nothing if no entry is due. The loop body may change the queue, and remove the yielded entry; the
// loop sees changes ahead of its position. The body must not flush, commit or roll back. An error ends the sequence.
func (s *TimeQueue[K, V]) Scan(last int64) iter.Seq2[QueueEntry[K, V], error] {
	return func(yield func(QueueEntry[K, V], error) bool) {
		if last < s.oldest {
			return
		}
		// Scans may be nested.
		late, at := s.late, s.at
		s.late = math.MaxInt64
		oldest := s.scan(last, yield)
		s.oldest, s.late = min(oldest, s.late), min(late, s.late)
		s.at = at
	}
}

// scan is Scan. It returns the time of the first entry that stays, ignoring entries that were put during the scan.
func (s *TimeQueue[K, V]) scan(last int64, yield func(QueueEntry[K, V], error) bool) (oldest int64) {
	oldest = math.MaxInt64
	var at, key []byte
	for r, err := range s.rows.scan(appendInt64(nil, s.oldest), nil) {
		var e QueueEntry[K, V]
		if err == nil {
			if key, e.QueuePlace, err = SplitQueueKey(key[:0], r.key); err != nil {
				err = fmt.Errorf("scan store %q: %w", s.rows.spec.Name, err)
			}
		}
		if err == nil {
			if e.Time > last {
				return min(oldest, e.Time)
			}
			e.Key, err = decodeKey(s.rows.spec.Name, s.key, key)
		}
		if err != nil {
			yield(QueueEntry[K, V]{}, err)
			return math.MinInt64
		}
		e.Value = r.value
		at = append(at[:0], r.key...)
		s.at = at
		more := yield(e, nil)
		if s.at != nil || !more {
			oldest = min(oldest, e.Time)
		}
		if !more {
			return oldest
		}
	}
	return oldest
}

// Spec implements [Store].
func (s *TimeQueue[K, V]) Spec() Spec { return s.rows.spec }

// Flush implements [Store].
func (s *TimeQueue[K, V]) Flush(b *Batch) error {
	s.seq.flush(b, s.rows.partitionKey(nil))
	return s.rows.flush(b)
}

// Committed implements [Store].
func (s *TimeQueue[K, V]) Committed() {
	s.seq.commit()
	s.rows.committed()
}

// Rollback implements [Store].
func (s *TimeQueue[K, V]) Rollback() {
	s.seq.rollback()
	s.rows.rollback()
	s.oldest = math.MinInt64
}

// DirtyBytes implements [Store].
func (s *TimeQueue[K, V]) DirtyBytes() int64 { return s.rows.account.dirty }

// Close implements [Store].
func (s *TimeQueue[K, V]) Close() { s.rows.close() }

func (s *TimeQueue[K, V]) encode(key K) (err error) {
	if s.buf, err = s.key.Append(s.buf[:0], key); err != nil {
		return fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	return nil
}
