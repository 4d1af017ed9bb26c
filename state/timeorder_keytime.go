package state

import (
	"fmt"
	"iter"
	"math"
)

// keyTimeOrder deletes the rows of a store that are behind a time, which their store keys hold. A local row for each row
// leads to it, so that only rows that go are read.
type keyTimeOrder[V any] struct {
	rows    *cache[V]
	times   int           // bytes at the end of store keys that hold times; the first 8 are the time of the order
	oldest  int64         // no row is older; tells when there is nothing to do
	ended   *endedRows[V] // nil until somebody asks for rows in the order of time
	scratch []byte        // for store keys that local rows lead to
}

// newKeyTimeOrder gives rows a time order by the times at the end of their store keys. Rows at the end of time have no local
// row: they never go.
func newKeyTimeOrder[V any](rows *cache[V], times int) *keyTimeOrder[V] {
	x := &keyTimeOrder[V]{rows: rows, times: times, oldest: math.MinInt64}
	name := rows.spec.Name
	rows.localKey = func(dst, storeKey []byte, _ int64) []byte { return appendLocalByKeyTime(dst, name, storeKey, times) }
	return x
}

// added says that there is a row of that time now.
func (x *keyTimeOrder[V]) added(time int64) { x.oldest = min(x.oldest, time) }

// rolledBack says that rows that were expired may be back.
func (x *keyTimeOrder[V]) rolledBack() {
	x.oldest = math.MinInt64
	x.reordered()
}

// reordered says that other rows are dirty now, or committed.
func (x *keyTimeOrder[V]) reordered() {
	if x.ended != nil {
		x.ended.reset()
	}
}

// inOrder yields the rows with after < time <= last in the order of their times, changes that are not committed included.
// Who goes on from where the last range ended pays only for what there is.
func (x *keyTimeOrder[V]) inOrder(after, last int64) iter.Seq2[scanned[V], error] {
	if x.ended == nil {
		x.ended = newEndedRows(x.rows, x.times)
	}
	return x.ended.scan(after, last)
}

// expire deletes all rows whose time is last or before and returns how many there were.
func (x *keyTimeOrder[V]) expire(last int64) (n int, err error) {
	return x.expireSome(last, math.MaxInt)
}

// expireSome is expire for so many rows at most.
func (x *keyTimeOrder[V]) expireSome(last int64, limit int) (n int, err error) {
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
func (x *keyTimeOrder[V]) expireCommitted(last int64, limit int) (oldest int64, n int, err error) {
	// Starting at the oldest row skips what engines keep of the local rows that were deleted before it.
	for local, err := range scanTimeOrder(x.rows.part, x.rows.spec.Name, x.oldest) {
		if err != nil {
			return 0, 0, err
		}
		if local.time > last || n == limit {
			return local.time, n, nil
		}
		x.scratch = appendStoreKeyOfLocal(x.scratch[:0], local.suffix, x.times)
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
