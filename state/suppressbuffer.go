package state

import (
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
)

// SuppressBuffer holds back the updates of a table until they are due, one update for each key, and emits them in the
// order of time. (Kafka Streams: the buffer of suppress.) It has a write-back cache above a partition and belongs to
// one goroutine. The rule of [KeyValue] for values that hold pointers applies.
//
//	Put(LH, 10, A)  Put(BA, 12, B)  Put(LH, 15, C)
//
//	         10        12
//	         LH = C    BA = B         LH has the later value and keeps its place
//	         └ EvictWhile emits this one first
//
// A key keeps the place in time that it got when it was buffered, even if it is updated again. Otherwise a key that is
// updated again and again would never be emitted (docs/semantics.md, Place in the buffer). Keys with the same place are
// emitted in the order of their escaped encodings. A key also keeps its prior value, which the table held before the
// key was buffered. That is the value that operators downstream know (docs/semantics.md, Prior value), so an emitted
// update is the change from the prior value to the last one. (The buffer of Kafka Streams emits the value before the
// last one as the old value, which operators downstream never saw.)
//
// The number of entries and their bytes are always known, also after a restart or a restore, because they are a row of
// the changelog.
//
// Each entry has a local row whose key begins with its place. The buffer has no reader, because the table downstream of
// it has the emitted updates.
type SuppressBuffer[K, V any] struct {
	rows   *cache[suppressed[V]]
	key    codecs.Codec[K]
	places suppressOrder[V]
	totals suppressTotals
	// unsized are rows whose encoded size was not needed yet. A row may be deleted by now, or be listed twice.
	unsized []*row[suppressed[V]]
	buf     []byte // scratch for encoded keys
	rowKey  []byte // scratch for store keys
}

var _ Store = (*SuppressBuffer[int, int])(nil)

// TableUpdate is an update of a table that a [SuppressBuffer] holds back.
type TableUpdate[V any] struct {
	// Value is the new value of the key, unless HasValue is false: then the key was deleted.
	Value    V
	HasValue bool
	// Old is the value before this update, unless HasOld is false: then there was none.
	Old    V
	HasOld bool
	// Timestamp is the timestamp of the record, in milliseconds.
	Timestamp int64
	// Headers are the headers of the record, in an encoding of the caller's choice; empty means none. The buffer keeps
	// the slice.
	Headers []byte
}

// SuppressEntry is an update that a [SuppressBuffer] held back.
type SuppressEntry[K, V any] struct {
	Key K
	// Time is the place of the entry, in milliseconds.
	Time int64
	// TableUpdate is the last update of the key. Its old value is the value before the first update.
	TableUpdate[V]
}

// suppressOverhead is the memory of a row of a suppress buffer besides its key and value. It is more than for other
// rows, because of the prior value and the place.
const suppressOverhead = rowOverhead + 136

// NewSuppressBuffer returns the suppress buffer that spec describes, in the partition part. The partition must be
// restored already, because NewSuppressBuffer reads the totals of the buffer. A nil budget means a budget of its own
// with [DefaultBudgetBytes]. It fails if the spec is not valid or does not describe a suppress store, or if the
// partition cannot be read.
func NewSuppressBuffer[K, V any](
	spec Spec, part Partition, budget *Budget, key codecs.Codec[K], value codecs.Codec[V],
) (*SuppressBuffer[K, V], error) {
	if err := spec.validateKind(SuppressKind); err != nil {
		return nil, err
	}
	totals, err := readSuppressTotals(part, spec.Name)
	if err != nil {
		return nil, err
	}
	rows := newCache(spec, part, budget, codecs.Codec[suppressed[V]](suppressCodec[V]{value}))
	rows.overhead = suppressOverhead
	return &SuppressBuffer[K, V]{rows: rows, key: key, places: newSuppressOrder(rows), totals: totals}, nil
}

// Put buffers an update of key. A key that is not buffered gets the given place (milliseconds) and the old value of the
// update. A key that is buffered keeps its place and its old value, and gets everything else from the update.
func (s *SuppressBuffer[K, V]) Put(key K, time int64, update TableUpdate[V]) (err error) {
	if s.buf, err = s.key.Append(s.buf[:0], key); err != nil {
		return fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	return s.PutEncoded(s.buf, time, update)
}

// PutEncoded is Put for a key that is encoded already. It does not keep key. It allocates nothing if the key is
// buffered and cached.
func (s *SuppressBuffer[K, V]) PutEncoded(key []byte, time int64, update TableUpdate[V]) error {
	s.rowKey = appendEscaped(s.rowKey[:0], key)
	r, err := s.rows.get(s.rowKey)
	if err != nil {
		return err
	}
	v := suppressed[V]{
		value: update.Value, hasValue: update.HasValue, prior: update.Old, hasPrior: update.HasOld,
		timestamp: update.Timestamp, headers: update.Headers, size: unsized,
	}
	known := true
	if r.present {
		time = r.timestamp
		v.prior, v.hasPrior, v.era = r.value.prior, r.value.hasPrior, r.value.era
		if known = r.value.size != unsized; known {
			s.totals.now.bytes -= entrySize(r)
		}
	} else {
		v.era = s.places.add(time, r.key)
		s.totals.now.entries++
	}
	if known {
		s.unsized = append(s.unsized, r)
	}
	s.rows.put(s.rowKey, v, time)
	return nil
}

// Get returns the entry of key, and false if it is not buffered. While a key is buffered, the table downstream has the
// old value of the entry, or no value if there is none.
func (s *SuppressBuffer[K, V]) Get(key K) (e SuppressEntry[K, V], ok bool, err error) {
	if s.buf, err = s.key.Append(s.buf[:0], key); err != nil {
		return e, false, fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	s.rowKey = appendEscaped(s.rowKey[:0], s.buf)
	r, err := s.rows.get(s.rowKey)
	if err != nil || !r.present {
		return e, false, err
	}
	return entryOf(key, r), true, nil
}

// MinTime returns the place of the first entry, and false if there is none. It rarely reads the partition.
func (s *SuppressBuffer[K, V]) MinTime() (time int64, ok bool, err error) {
	p, ok, err := s.places.first()
	return p.time, ok, err
}

// Len returns the number of entries.
func (s *SuppressBuffer[K, V]) Len() int64 { return s.totals.now.entries }

// Bytes returns the size of the rows of all entries, keys and encoded values, in bytes. It encodes the entries that
// were put since the last call. An entry that cannot be encoded counts as 0: the next Flush fails because of it.
func (s *SuppressBuffer[K, V]) Bytes() int64 {
	failed := 0
	for _, r := range s.unsized {
		if !r.present || r.value.size != unsized {
			continue
		}
		data, err := s.rows.codec.Append(s.rows.value[:0], r.value)
		if err != nil {
			s.unsized[failed] = r
			failed++
			continue
		}
		s.rows.value = data[:0]
		r.value.size = len(data)
		s.totals.now.bytes += entrySize(r)
	}
	s.forgetUnsized(failed)
	return s.totals.now.bytes
}

// EvictWhile removes and yields the entries in the order of their places, as long as while returns true for the first
// place. An entry is removed before it is yielded. The loop body may change the buffer: entries that it puts are
// yielded when they are first. The body must not flush, commit or roll back. An error ends the sequence. It costs
// almost nothing if while returns false.
func (s *SuppressBuffer[K, V]) EvictWhile(while func(time int64) bool) iter.Seq2[SuppressEntry[K, V], error] {
	return func(yield func(SuppressEntry[K, V], error) bool) {
		for {
			p, ok, err := s.places.first()
			if err == nil && !ok {
				// Without transactions, a process that dies within a commit leaves wrong totals. They are corrected
				// when the buffer is empty.
				s.totals.now = suppressSum{}
				return
			}
			if err == nil && !while(p.time) {
				return
			}
			var e SuppressEntry[K, V]
			if err == nil {
				// while may have changed the buffer as well.
				e, ok, err = s.evict()
			}
			if err != nil {
				yield(e, err)
				return
			}
			if !ok || !yield(e, nil) {
				return
			}
		}
	}
}

// evict removes and returns the first entry.
func (s *SuppressBuffer[K, V]) evict() (e SuppressEntry[K, V], ok bool, err error) {
	p, ok, err := s.places.first()
	if err != nil || !ok {
		return e, false, err
	}
	s.rowKey = append(s.rowKey[:0], p.key...)
	r, err := s.rows.get(s.rowKey)
	if err != nil {
		return e, false, err
	}
	if s.buf, err = splitSuppressKey(s.buf[:0], s.rowKey); err != nil {
		return e, false, fmt.Errorf("store %q: %w", s.rows.spec.Name, err)
	}
	key, err := decodeKey(s.rows.spec.Name, s.key, s.buf)
	if err != nil {
		return e, false, err
	}
	e = entryOf(key, r)
	s.places.remove(r.value.era)
	s.totals.now.entries--
	if r.value.size != unsized {
		s.totals.now.bytes -= entrySize(r)
	}
	s.rows.counts.deletes++
	s.rows.remove(r)
	r.transient = true
	return e, true, nil
}

func entryOf[K, V any](key K, r *row[suppressed[V]]) SuppressEntry[K, V] {
	return SuppressEntry[K, V]{
		Key: key, Time: r.timestamp,
		Value: r.value.value, HasValue: r.value.hasValue, Old: r.value.prior, HasOld: r.value.hasPrior,
		Timestamp: r.value.timestamp, Headers: r.value.headers,
	}
}

// entrySize returns the size of the row of an entry, in bytes.
func entrySize[V any](r *row[suppressed[V]]) int64 {
	return int64(len(r.key) + timestampSize + r.value.size)
}

// Spec implements [Store].
func (s *SuppressBuffer[K, V]) Spec() Spec { return s.rows.spec }

// Flush implements [Store].
func (s *SuppressBuffer[K, V]) Flush(b *Batch) error {
	// Before the rows, because a row may need one of the deleted local rows again.
	s.places.flush(b)
	if s.rows.dirty.n == 0 {
		s.totals.flushed = s.totals.now
		return nil
	}
	// The totals come first, but are known only after all rows are encoded.
	at := b.Len()
	b.Set(s.rows.partitionKey(nil), s.totals.now.append(nil))
	if err := s.rows.flush(b); err != nil {
		return err
	}
	for _, r := range s.unsized {
		if r.present && r.value.size == unsized {
			r.value.size = int(r.cost-s.rows.overhead) - len(r.key) - timestampSize
			s.totals.now.bytes += entrySize(r)
		}
	}
	s.forgetUnsized(0)
	s.totals.flushed = s.totals.now
	if b.Len() == at+1 {
		b.drop(at) // every entry that was put has been evicted
		return nil
	}
	b.overwrite(at, s.totals.now.append(nil))
	return nil
}

// Committed implements [Store].
func (s *SuppressBuffer[K, V]) Committed() {
	s.totals.committed = s.totals.flushed
	s.rows.committed()
	s.places.commit()
}

// Rollback implements [Store].
func (s *SuppressBuffer[K, V]) Rollback() {
	s.totals.now, s.totals.flushed = s.totals.committed, s.totals.committed
	s.forgetUnsized(0)
	s.places.rollback()
	s.rows.rollback()
}

// DirtyBytes implements [Store].
func (s *SuppressBuffer[K, V]) DirtyBytes() int64 { return s.rows.account.dirty }

// Close implements [Store].
func (s *SuppressBuffer[K, V]) Close() { s.rows.close() }

// forgetUnsized forgets all but the first kept rows.
func (s *SuppressBuffer[K, V]) forgetUnsized(kept int) {
	clear(s.unsized[kept:])
	s.unsized = s.unsized[:kept]
}
