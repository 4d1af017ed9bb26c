package state

import (
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/seed84377926/millrace/codecs"
)

// Window is a span of event time: the milliseconds t with Start <= t < End.
type Window struct{ Start, End int64 }

// StartTime returns the first instant of the window, in UTC.
func (w Window) StartTime() time.Time { return time.UnixMilli(w.Start).UTC() }

// EndTime returns the first instant after the window, in UTC.
func (w Window) EndTime() time.Time { return time.UnixMilli(w.End).UTC() }

// String returns the window as an ISO 8601 interval: start, slash, end.
func (w Window) String() string {
	return w.StartTime().Format(time.RFC3339Nano) + "/" + w.EndTime().Format(time.RFC3339Nano)
}

// windowOf returns the window of the given start and size, both in milliseconds. A window that would pass the end of
// time ends there.
func windowOf(start, size int64) Window {
	end := start + size
	if end < start {
		end = math.MaxInt64
	}
	return Window{Start: start, End: end}
}

// Windowed is a store of one row for each key and window start, with the write-back cache of its task above a
// partition. All windows have the same size, or are those of a calendar. It belongs to one goroutine. The rule of
// [KeyValue] for values that hold pointers applies.
//
// Each window has a local row whose key begins with the start, so that [Windowed.Expire] reads only the windows that it
// removes:
//
//	start ────▶  09:00        10:00        11:00        12:00
//	row          a b          a c          b            a          sorted by key, then start
//	local row    a b          a c          b            a          sorted by start, then key
//	             └─ Expire(11:00) removes ─┘
type Windowed[K, V any] struct {
	rows   *cache[V]
	byTime *keyTimeOrder[V] // by start
	recent *recentRows[V]
	key    codecs.Codec[K]
	size   int64            // of the windows, in milliseconds
	units  *CalendarWindows // of windows by the calendar, else nil
	buf    []byte           // scratch for encoded keys
	rowKey []byte           // scratch for store keys
}

var _ Store = (*Windowed[int, int])(nil)

// WindowEntry is one row of a window store.
type WindowEntry[K, V any] struct {
	Key       K
	Window    Window
	Value     V
	Timestamp int64 // milliseconds
}

// NewWindowed returns the window store that spec describes, in the partition part. A nil budget means a budget of its
// own with [DefaultBudgetBytes]. It fails if the spec is not valid or does not describe a window store.
func NewWindowed[K, V any](
	spec Spec, part Partition, budget *Budget, key codecs.Codec[K], value codecs.Codec[V],
) (*Windowed[K, V], error) {
	if err := spec.validateKind(WindowKind); err != nil {
		return nil, err
	}
	rows := newCache(spec, part, budget, value)
	var units *CalendarWindows
	if spec.Calendar != (Calendar{}) {
		units = NewCalendarWindows(spec.Calendar)
	}
	return &Windowed[K, V]{
		rows:   rows,
		byTime: newKeyTimeOrder(rows, startSize),
		recent: newRecentRows(rows, startSize),
		key:    key,
		size:   spec.WindowSize.Milliseconds(),
		units:  units,
	}, nil
}

// Get returns the value of the window of key that starts at start (milliseconds) and its timestamp, and false if there
// is none.
func (s *Windowed[K, V]) Get(key K, start int64) (value V, timestamp int64, ok bool, err error) {
	if err := s.encode(key); err != nil {
		return value, 0, false, err
	}
	return s.GetEncoded(s.buf, start)
}

// GetEncoded is Get for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *Windowed[K, V]) GetEncoded(key []byte, start int64) (value V, timestamp int64, ok bool, err error) {
	s.rowKey = AppendWindowKey(s.rowKey[:0], key, start)
	r, err := s.rows.get(s.rowKey)
	if err != nil {
		return value, 0, false, err
	}
	return r.value, r.timestamp, r.present, nil
}

// Put sets the value of the window of key that starts at start. The store keeps value until it is replaced or evicted:
// the caller must not modify what it points to.
func (s *Windowed[K, V]) Put(key K, start int64, value V, timestamp int64) error {
	if err := s.encode(key); err != nil {
		return err
	}
	return s.PutEncoded(s.buf, start, value, timestamp)
}

// PutEncoded is Put for a key that is encoded already. It does not keep key. It allocates nothing if the row is cached.
func (s *Windowed[K, V]) PutEncoded(key []byte, start int64, value V, timestamp int64) error {
	s.rowKey = AppendWindowKey(s.rowKey[:0], key, start)
	s.recent.put(key, s.rowKey, value, timestamp)
	s.byTime.added(start)
	return nil
}

// Delete removes the window of key that starts at start, which need not exist.
func (s *Windowed[K, V]) Delete(key K, start int64) error {
	if err := s.encode(key); err != nil {
		return err
	}
	return s.DeleteEncoded(s.buf, start)
}

// DeleteEncoded is Delete for a key that is encoded already. It does not keep key.
func (s *Windowed[K, V]) DeleteEncoded(key []byte, start int64) error {
	s.rowKey = AppendWindowKey(s.rowKey[:0], key, start)
	s.recent.remove(key, s.rowKey)
	return nil
}

// Fetch yields the windows of key with from <= start < to (milliseconds) by ascending start, including uncommitted
// changes. The loop body may change the store; the loop sees changes ahead of its position. The body must not flush,
// commit or roll back. An error ends the sequence.
func (s *Windowed[K, V]) Fetch(key K, from, to int64) iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		encoded, err := s.key.Append(nil, key)
		if err != nil {
			yield(WindowEntry[K, V]{}, fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err))
			return
		}
		if from < to {
			s.fetch(WindowEntry[K, V]{Key: key}, encoded, from, to, yield)
		}
	}
}

// FetchEncoded appends what [Windowed.Fetch] would yield to dst, for a key that is encoded already. It does not keep
// key, and leaves Key of the entries unset. While the budget allows, the windows of recently used keys are tracked, so
// that repeated and later lookups neither read nor allocate.
func (s *Windowed[K, V]) FetchEncoded(dst []WindowEntry[K, V], key []byte, from, to int64) ([]WindowEntry[K, V], error) {
	if from >= to {
		return dst, nil
	}
	rows, ok, err := s.recent.find(key, from, to)
	if err != nil {
		return dst, err
	}
	for _, r := range rows {
		start := s.recent.time(r.key)
		if start >= to {
			break
		}
		r.referenced = true
		dst = append(dst, WindowEntry[K, V]{Window: s.window(start), Value: r.value, Timestamp: r.timestamp})
	}
	if ok {
		return dst, nil
	}
	return appendAll(dst, func(yield func(WindowEntry[K, V], error) bool) {
		s.fetch(WindowEntry[K, V]{}, key, from, to, yield)
	})
}

// appendAll appends the elements of a sequence, up to an error.
func appendAll[T any](dst []T, all iter.Seq2[T, error]) ([]T, error) {
	for e, err := range all {
		if err != nil {
			return dst, err
		}
		dst = append(dst, e)
	}
	return dst, nil
}

func (s *Windowed[K, V]) fetch(
	e WindowEntry[K, V], key []byte, from, to int64, yield func(WindowEntry[K, V], error) bool,
) {
	for r, err := range s.rows.scan(AppendWindowKey(nil, key, from), AppendWindowKey(nil, key, to)) {
		if err != nil {
			yield(WindowEntry[K, V]{}, err)
			return
		}
		e.Window, e.Value, e.Timestamp = s.window(windowStart(r.key)), r.value, r.timestamp
		if !yield(e, nil) {
			return
		}
	}
}

// Ended yields the windows of all keys with after < end <= last (milliseconds), by ascending start and then in the
// order of their escaped keys, including uncommitted changes. The bounds of windows by the calendar are ends of
// windows. It is meant for consecutive ranges: a range that begins where the last one ended costs almost nothing if no
// window ended in it. The loop body may read the store and change windows that end later. It must not flush, commit or
// roll back. An error ends the sequence.
func (s *Windowed[K, V]) Ended(after, last int64) iter.Seq2[WindowEntry[K, V], error] {
	return func(yield func(WindowEntry[K, V], error) bool) {
		size := s.size
		if s.units != nil {
			size = 1 // a window that begins before an end ends there or before
		}
		for r, err := range s.byTime.inOrder(minus(after, size), minus(last, size)) {
			var e WindowEntry[K, V]
			if err == nil {
				e, err = s.entryOf(r)
			}
			if err != nil {
				yield(WindowEntry[K, V]{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// window returns the window that starts at start.
func (s *Windowed[K, V]) window(start int64) Window {
	if s.units != nil {
		return Window{Start: start, End: s.units.At(start).End}
	}
	return windowOf(start, s.size)
}

func (s *Windowed[K, V]) entryOf(r scanned[V]) (e WindowEntry[K, V], err error) {
	var start int64
	if s.buf, start, err = SplitWindowKey(s.buf[:0], r.key); err != nil {
		return e, fmt.Errorf("store %q: %w", s.rows.spec.Name, err)
	}
	e.Window, e.Value, e.Timestamp = s.window(start), r.value, r.timestamp
	e.Key, err = decodeKey(s.rows.spec.Name, s.key, s.buf)
	return e, err
}

// Expire deletes all windows that end at or before the given time (milliseconds) and returns how many there were. It
// costs nothing if no window is that old.
func (s *Windowed[K, V]) Expire(before int64) (n int, err error) {
	if s.units != nil {
		if before < 0 {
			return 0, nil
		}
		return s.byTime.expire(s.units.At(before).Start - 1)
	}
	if before < math.MinInt64+s.size {
		return 0, nil
	}
	return s.byTime.expire(before - s.size)
}

// Spec implements [Store].
func (s *Windowed[K, V]) Spec() Spec { return s.rows.spec }

// Flush implements [Store].
func (s *Windowed[K, V]) Flush(b *Batch) error { return s.rows.flush(b) }

// Committed implements [Store].
func (s *Windowed[K, V]) Committed() {
	s.rows.committed()
	s.byTime.reordered()
}

// Rollback implements [Store].
func (s *Windowed[K, V]) Rollback() {
	s.recent.forget()
	s.rows.rollback()
	s.byTime.rolledBack()
}

// DirtyBytes implements [Store].
func (s *Windowed[K, V]) DirtyBytes() int64 { return s.rows.account.dirty }

// Close implements [Store].
func (s *Windowed[K, V]) Close() { s.rows.close() }

func (s *Windowed[K, V]) encode(key K) (err error) {
	if s.buf, err = s.key.Append(s.buf[:0], key); err != nil {
		return fmt.Errorf("store %q: key: %w", s.rows.spec.Name, err)
	}
	return nil
}
