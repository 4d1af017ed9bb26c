package state

import (
	"fmt"
	"iter"
	"math"
	"slices"
)

// timeIndex deletes the rows of a store that are behind a time, which their store keys hold. A local row for each row
// leads to it, so that only rows that go are read.
type timeIndex[V any] struct {
	rows    *cache[V]
	times   int           // bytes at the end of store keys that hold times; the first 8 are the index's
	oldest  int64         // no row is older; tells when there is nothing to do
	order   *timeOrder[V] // nil until somebody asks for rows in the order of time
	scratch []byte        // for keys that the index leads to
}

// newTimeIndex gives rows an index by the times at the end of their store keys. Rows at the end of time have no local
// row: they never go.
func newTimeIndex[V any](rows *cache[V], times int) *timeIndex[V] {
	x := &timeIndex[V]{rows: rows, times: times, oldest: math.MinInt64}
	name := rows.spec.Name
	rows.indexKey = func(dst, storeKey []byte, _ int64) []byte { return appendTimeIndexKey(dst, name, storeKey, times) }
	return x
}

// added says that there is a row of that time now.
func (x *timeIndex[V]) added(time int64) { x.oldest = min(x.oldest, time) }

// rolledBack says that rows that were expired may be back.
func (x *timeIndex[V]) rolledBack() {
	x.oldest = math.MinInt64
	x.reordered()
}

// reordered says that other rows are dirty now, or committed.
func (x *timeIndex[V]) reordered() {
	if x.order != nil {
		x.order.reset()
	}
}

// inOrder yields the rows with after < time <= last in the order of their times, changes that are not committed included.
// Who goes on from where the last range ended pays only for what there is.
func (x *timeIndex[V]) inOrder(after, last int64) iter.Seq2[scanned[V], error] {
	if x.order == nil {
		x.order = newTimeOrder(x.rows, x.times)
	}
	return x.order.scan(after, last)
}

// expire deletes all rows whose time is last or before and returns how many there were.
func (x *timeIndex[V]) expire(last int64) (n int, err error) { return x.expireSome(last, math.MaxInt) }

// expireSome is expire for so many rows at most.
func (x *timeIndex[V]) expireSome(last int64, limit int) (n int, err error) {
	if last < x.oldest {
		return 0, nil
	}
	oldest, n, err := x.expireCommitted(last, limit)
	if err != nil {
		return 0, fmt.Errorf("expire store %q: %w", x.rows.spec.Name, err)
	}
	x.rows.dirty.each(func(r *row[V]) {
		if !r.present {
			return
		}
		time := readInt64([]byte(r.key[len(r.key)-x.times:][:timeSize]))
		if time > last || n == limit {
			oldest = min(oldest, time)
			return
		}
		x.rows.remove(r)
		r.transient = true
		n++
	})
	x.oldest = oldest
	x.rows.counts.expired += int64(n)
	return n, nil
}

// expireCommitted deletes the rows of the partition whose time is last or before, at most so many, and returns the
// time of the first one that stays.
func (x *timeIndex[V]) expireCommitted(last int64, limit int) (oldest int64, n int, err error) {
	// Starting at the oldest row skips what engines keep of the local rows that were deleted before it.
	for index, err := range scanIndex(x.rows.part, x.rows.spec.Name, x.oldest) {
		if err != nil {
			return 0, 0, err
		}
		if index.time > last || n == limit {
			return index.time, n, nil
		}
		x.scratch = appendKeyOfIndex(x.scratch[:0], index.suffix, x.times)
		r := x.rows.lookup(x.scratch)
		switch {
		case r == nil:
			r = &row[V]{present: true, committed: exists}
			x.rows.insert(r, x.scratch, 0)
		case !r.present:
			continue
		}
		x.rows.remove(r)
		r.transient = true
		n++
	}
	return math.MaxInt64, n, nil
}

// indexRow is a local row of an index by time.
type indexRow struct {
	key    []byte // of the local row
	suffix []byte // key without its prefix
	time   int64
}

// scanIndex yields the local rows of a store from a time on, in order. Their slices are valid until the next one.
func scanIndex(part Reader, store string, from int64) iter.Seq2[indexRow, error] {
	return scanIndexFrom(part, store, appendInt64(nil, from))
}

// scanIndexFrom yields the local rows of a store whose suffix is from or above, in order.
func scanIndexFrom(part Reader, store string, from []byte) iter.Seq2[indexRow, error] {
	return func(yield func(indexRow, error) bool) {
		prefix := appendIndexPrefix(nil, store)
		low := append(slices.Clip(prefix), from...)
		high := append(prefix[:len(prefix)-1:len(prefix)-1], afterStoreEnd)
		for row, err := range part.Scan(low, high) {
			if err == nil && len(row.Key) < len(prefix)+timeSize {
				err = fmt.Errorf("index row %q is too short", row.Key)
			}
			if err != nil {
				yield(indexRow{}, err)
				return
			}
			suffix := row.Key[len(prefix):]
			if !yield(indexRow{key: row.Key, suffix: suffix, time: readInt64(suffix)}, nil) {
				return
			}
		}
	}
}

// horizon is a time that only moves on, but moves back when its store is rolled back: what a task reads must not
// depend on what it read in a transaction that was aborted.
type horizon struct {
	now, flushed, committed int64
}

func newHorizon() horizon {
	return horizon{now: math.MinInt64, flushed: math.MinInt64, committed: math.MinInt64}
}

func (h *horizon) raise(to int64) { h.now = max(h.now, to) }
func (h *horizon) flush()         { h.flushed = h.now }
func (h *horizon) commit()        { h.committed = h.flushed }
func (h *horizon) rollback()      { h.now, h.flushed = h.committed, h.committed }
