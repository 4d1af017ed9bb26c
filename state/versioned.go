package state

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/seed84377926/millrace/codecs"
)

// ErrTooOld is returned for a change that is older than the history of a versioned store or of a join buffer. The store
// does not change.
var ErrTooOld = errors.New("older than the history of the store")

// Versioned is a store of all versions of each key, with the write-back cache of its task above a partition: GetAsOf
// returns the value at any time in its history. Changes may come in any order of time. It belongs to one goroutine.
//
// Each version is a row whose key holds the time at which it ends. So the first row after a time is the version that
// was valid then, if there was one:
//
//	Put(k, A, 10)  Delete(k, 20)  Put(k, B, 30)
//
//	time    10         20         30
//	         ├─── A ───┤           ├─── B ───▶ now
//	row                A from 10               B from 30
//
// A Put between two versions ends the earlier one at its time. A deletion without a version before it is a row of its
// own: it ends a version that is put before it later. The version that is valid now is found without a scan.
//
// History begins one retention before the latest change, or at the time of the last call of Expire if that is later.
// Advance moves the beginning when stream time is ahead of the changes. Earlier changes are refused with [ErrTooOld].
// The version that is valid at the beginning of history belongs to history from its own beginning.
//
// The rule of [KeyValue] for values that hold pointers applies, except that a value may never be modified, because it
// stays as an old version.
type Versioned[K, V any] struct {
	rows      *cache[version[V]]
	byTime    *keyTimeOrder[version[V]] // by end
	key       codecs.Codec[K]
	retention int64 // milliseconds; 0 means forever
	history   horizon
	follows   bool   // only Advance moves history, see FollowTime
	buf       []byte // scratch for encoded keys
	rowKey    []byte // scratch for store keys
	lo, hi    []byte // scratch for bounds
}

var _ Store = (*Versioned[int, int])(nil)

// VersionEntry is one version of a key: its value from ValidFrom to before ValidTo (milliseconds), which is
// [math.MaxInt64] for the version that is valid now.
type VersionEntry[K, V any] struct {
	Key       K
	Value     V
	ValidFrom int64
	ValidTo   int64
}

// NewVersioned returns the versioned store that spec describes, in the partition part. A nil budget means a budget of
// its own with [DefaultBudgetBytes]. It fails if the spec is not valid or does not describe a versioned store. The
// store does not restore stream time: call Advance.
func NewVersioned[K, V any](
	spec Spec, part Partition, budget *Budget, key codecs.Codec[K], value codecs.Codec[V],
) (*Versioned[K, V], error) {
	if err := spec.validateKind(VersionedKind); err != nil {
		return nil, err
	}
	rows := newCache(spec, part, budget, codecs.Codec[version[V]](versionCodec[V]{value}))
	s := &Versioned[K, V]{
		rows:      rows,
		byTime:    newKeyTimeOrder(rows, versionSize),
		key:       key,
		retention: spec.Retention.Milliseconds(),
		history:   newHorizon(),
	}
	localKey := rows.localKey
	rows.localKey = func(dst, storeKey []byte, timestamp int64) []byte {
		if versionEnd(storeKey) == math.MaxInt64 {
			return dst
		}
		return localKey(dst, storeKey, timestamp)
	}
	return s, nil
}

// Get returns the value that is valid now and the time (milliseconds) from which it is valid, and false if there is
// none. Now is after all changes, even if stream time is earlier.
func (s *Versioned[K, V]) Get(key K) (value V, from int64, ok bool, err error) {
	if err := s.encode(key); err != nil {
		return value, 0, false, err
	}
	return s.GetEncoded(s.buf)
}

// GetEncoded is Get for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *Versioned[K, V]) GetEncoded(key []byte) (value V, from int64, ok bool, err error) {
	s.rowKey = AppendVersionKey(s.rowKey[:0], key, math.MaxInt64)
	r, err := s.rows.get(s.rowKey)
	if err != nil {
		return value, 0, false, err
	}
	return r.value.value, r.timestamp, r.present, nil
}

// GetAsOf returns the value that was valid at the given time and the time from which it was valid (both milliseconds),
// and false if there was none or history does not reach back to it.
func (s *Versioned[K, V]) GetAsOf(key K, at int64) (value V, from int64, ok bool, err error) {
	if err := s.encode(key); err != nil {
		return value, 0, false, err
	}
	return s.GetAsOfEncoded(s.buf, at)
}

// GetAsOfEncoded is GetAsOf for a key that is encoded already. It does not keep key.
func (s *Versioned[K, V]) GetAsOfEncoded(key []byte, at int64) (value V, from int64, ok bool, err error) {
	s.buf = append(s.buf[:0], key...)
	// Versions before history are removed sooner or later. The result must not depend on when.
	v, err := s.find(min(max(at, s.history.now), math.MaxInt64-1))
	if err != nil || !v.valid || v.from > at {
		return value, 0, false, err
	}
	return v.value, v.from, true, nil
}

// Versions yields the versions of key that were valid at any time t with from <= t < to (milliseconds), within history,
// the oldest first. Deletions show as gaps. The loop body may change the store; the loop sees changes ahead of its
// position. The body must not flush, commit or roll back. An error ends the sequence.
func (s *Versioned[K, V]) Versions(key K, from, to int64) iter.Seq2[VersionEntry[K, V], error] {
	return func(yield func(VersionEntry[K, V], error) bool) {
		low, high, err := versionBounds(s.rows.spec.Name, s.key, key, max(from, s.history.now))
		if err != nil {
			yield(VersionEntry[K, V]{}, err)
			return
		}
		yieldVersions(key, to, s.rows.scan(low, high), yield)
	}
}

// Put sets the value of key from the given time (milliseconds) until the next change that the store has, or forever. Of
// two changes at the same time the later call wins. The store keeps value: the caller must not modify what it points
// to. It returns [ErrTooOld] for a time before history.
func (s *Versioned[K, V]) Put(key K, value V, from int64) error {
	if err := s.encode(key); err != nil {
		return err
	}
	_, err := s.PutEncoded(s.buf, value, from)
	return err
}

// PutEncoded is Put for a key that is encoded already. It does not keep key. It returns the time of the next change,
// [math.MaxInt64] if the value is the one that is valid now.
func (s *Versioned[K, V]) PutEncoded(key []byte, value V, from int64) (to int64, err error) {
	v, err := s.change(key, from)
	if err != nil {
		return 0, err
	}
	to = v.next(from)
	s.put(to, version[V]{value: value}, from)
	return to, nil
}

// Delete says that key has no value from the given time (milliseconds) until the next change that the store has, or
// forever. It returns [ErrTooOld] for a time before history.
func (s *Versioned[K, V]) Delete(key K, from int64) error {
	if err := s.encode(key); err != nil {
		return err
	}
	_, err := s.DeleteEncoded(s.buf, from)
	return err
}

// DeleteEncoded is Delete for a key that is encoded already. It does not keep key. It returns the time of the next
// change, [math.MaxInt64] if the key has no value now.
func (s *Versioned[K, V]) DeleteEncoded(key []byte, from int64) (to int64, err error) {
	v, err := s.change(key, from)
	if err != nil {
		return 0, err
	}
	if !v.valid || v.from >= from {
		// No version was cut short: without one that ends here the deletion needs a row of its own.
		s.rowKey = AppendVersionKey(s.rowKey[:0], s.buf, from)
		r, err := s.rows.get(s.rowKey)
		if err != nil {
			return 0, err
		}
		if !r.present {
			s.put(from, version[V]{deleted: true}, from)
		}
	}
	switch {
	case !v.valid || v.from > from:
	case v.end == math.MaxInt64:
		s.rows.delete(AppendVersionKey(s.rowKey[:0], s.buf, math.MaxInt64))
	default:
		// The end of the version stays as a deletion, which ends a version that is put before it later.
		s.put(v.end, version[V]{deleted: true}, v.end)
	}
	return v.next(from), nil
}

// change prepares a change of key and leaves key in s.buf. It returns the version that was valid at the time, and ends
// it there.
func (s *Versioned[K, V]) change(key []byte, from int64) (found[V], error) {
	if from < s.history.now {
		return found[V]{}, fmt.Errorf("store %q: change at %d: %w, which begins at %d",
			s.rows.spec.Name, from, ErrTooOld, s.history.now)
	}
	if from == math.MaxInt64 {
		return found[V]{}, fmt.Errorf("store %q: change at %d, the end of time", s.rows.spec.Name, from)
	}
	s.buf = append(s.buf[:0], key...)
	v, err := s.find(from)
	if err != nil {
		return found[V]{}, err
	}
	if v.valid && v.from < from {
		s.put(from, version[V]{value: v.value}, v.from)
	}
	if !s.follows {
		s.Advance(from)
	}
	return v, nil
}

// found is the first row of a key that ends after a time.
type found[V any] struct {
	value     V
	from, end int64 // end is math.MaxInt64 if there is no row
	valid     bool  // there is a row and it holds a value; it may begin after the time
}

// next returns the time of the first change after the given time, math.MaxInt64 if there is none.
func (f found[V]) next(at int64) int64 {
	if f.valid && f.from > at {
		return f.from
	}
	return f.end
}

// find returns the first row of the key in s.buf that ends after the given time. It allocates nothing if that row is
// the version that is valid now and is cached.
func (s *Versioned[K, V]) find(at int64) (found[V], error) {
	s.hi = AppendVersionKey(s.hi[:0], s.buf, math.MaxInt64)
	r, err := s.rows.get(s.hi)
	if err != nil {
		return found[V]{}, err
	}
	now := found[V]{value: r.value.value, from: r.timestamp, end: math.MaxInt64, valid: r.present}
	if now.valid && now.from <= at {
		return now, nil
	}
	s.lo = AppendVersionKey(s.lo[:0], s.buf, at+1)
	return s.findOld(now)
}

// findOld returns the first row between s.lo and s.hi, or else now.
func (s *Versioned[K, V]) findOld(now found[V]) (found[V], error) {
	for r, err := range s.rows.scan(s.lo, s.hi) {
		if err != nil {
			return found[V]{}, err
		}
		return found[V]{value: r.value.value, from: r.timestamp, end: versionEnd(r.key), valid: !r.value.deleted}, nil
	}
	return now, nil
}

// put writes the row of the key in s.buf that ends at end.
func (s *Versioned[K, V]) put(end int64, v version[V], from int64) {
	s.rowKey = AppendVersionKey(s.rowKey[:0], s.buf, end)
	s.rows.put(s.rowKey, v, from)
	s.byTime.added(end)
}

// Advance sets stream time to the given time (milliseconds), unless it is later already. History begins one retention
// earlier. It costs nothing.
func (s *Versioned[K, V]) Advance(streamTime int64) {
	if s.retention > 0 {
		s.history.raise(minus(streamTime, s.retention))
	}
}

// FollowTime makes history move with Advance only, and no longer with changes: for an owner that knows that earlier
// changes are still to come.
func (s *Versioned[K, V]) FollowTime() { s.follows = true }

// HistoryStart returns the time (milliseconds) at which history begins, [math.MinInt64] if it has no beginning.
func (s *Versioned[K, V]) HistoryStart() int64 { return s.history.now }

// Expire makes history begin at the given time (milliseconds), deletes all versions that ended at that time or before,
// and returns how many rows it deleted, including rows of deletions. It costs nothing if no version is that old.
func (s *Versioned[K, V]) Expire(before int64) (n int, err error) {
	s.history.raise(before)
	return s.byTime.expire(min(before, math.MaxInt64-1))
}

// Spec implements [Store].
func (s *Versioned[K, V]) Spec() Spec { return s.rows.spec }

// Flush implements [Store].
func (s *Versioned[K, V]) Flush(b *Batch) error {
	s.history.flush()
	return s.rows.flush(b)
}

// Committed implements [Store].
func (s *Versioned[K, V]) Committed() {
	s.history.commit()
	s.rows.committed()
}

// Rollback implements [Store]. It sets the beginning of history back to the last commit; before the first commit stream
// time is unknown.
func (s *Versioned[K, V]) Rollback() {
	s.history.rollback()
	s.rows.rollback()
	s.byTime.rolledBack()
}

// DirtyBytes implements [Store].
func (s *Versioned[K, V]) DirtyBytes() int64 { return s.rows.account.dirty }

// Close implements [Store].
func (s *Versioned[K, V]) Close() { s.rows.close() }

func (s *Versioned[K, V]) encode(key K) (err error) {
	if s.buf, err = s.key.Append(s.buf[:0], key); err != nil {
		return fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	return nil
}

// The first byte of a version's value says whether the codec's bytes follow.
const (
	versionDeleted = 0x00
	versionValue   = 0x01
)

// version is the value of a version row.
type version[V any] struct {
	value   V
	deleted bool
}

// versionCodec encodes versions.
type versionCodec[V any] struct {
	value codecs.Codec[V]
}

var errBadVersion = errors.New("a version starts with neither 0x00 nor 0x01, or has a value although it is deleted")

// Append implements codecs.Codec.
func (c versionCodec[V]) Append(dst []byte, v version[V]) ([]byte, error) {
	if v.deleted {
		return append(dst, versionDeleted), nil
	}
	return c.value.Append(append(dst, versionValue), v.value)
}

// Decode implements codecs.Codec.
func (c versionCodec[V]) Decode(data []byte) (v version[V], err error) {
	switch {
	case len(data) == 1 && data[0] == versionDeleted:
		v.deleted = true
	case len(data) >= 1 && data[0] == versionValue:
		v.value, err = c.value.Decode(data[1:])
	default:
		err = errBadVersion
	}
	return v, err
}
