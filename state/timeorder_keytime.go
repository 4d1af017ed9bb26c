package state

import (
	"fmt"
	"iter"
	"math"
)

// keyTimeOrder is the time order of a store whose keys end with times. It expires rows: a local row leads to each row,
// so that only rows that expire are read.
type keyTimeOrder[V any] struct {
	rows    *cache[V]
	times   int           // bytes at the end of store keys that hold times; the first 8 are the time that rows sort by
	oldest  int64         // no row is older, so expire knows when there is nothing to do
	ended   *endedRows[V] // nil until the first call of inOrder
	scratch []byte        // scratch for store keys that local rows lead to
}

// newKeyTimeOrder gives rows a time order by the times at the end of their store keys.
func newKeyTimeOrder[V any](rows *cache[V], times int) *keyTimeOrder[V] {
	x := &keyTimeOrder[V]{rows: rows, times: times, oldest: math.MinInt64}
	name := rows.spec.Name
	rows.localKey = func(dst, storeKey []byte, _ int64) []byte { return appendLocalByKeyTime(dst, name, storeKey, times) }
	return x
}

// added records that the store has a row of that time.
func (x *keyTimeOrder[V]) added(time int64) { x.oldest = min(x.oldest, time) }

// rolledBack records that expired rows may be back after a rollback.
func (x *keyTimeOrder[V]) rolledBack() {
	x.oldest = math.MinInt64
	x.reordered()
}

// reordered records that a commit or a rollback has changed which rows are dirty or committed.
func (x *keyTimeOrder[V]) reordered() {
	if x.ended != nil {
		x.ended.reset()
	}
}

// inOrder yields the rows with after < time <= last in the order of their times, including uncommitted changes. A range
// that begins where the last one ended costs only what it yields.
func (x *keyTimeOrder[V]) inOrder(after, last int64) iter.Seq2[scanned[V], error] {
	if x.ended == nil {
		x.ended = newEndedRows(x.rows, x.times)
	}
	return x.ended.scan(after, last)
}

// expire deletes all rows with a time of last or earlier and returns how many it deleted.
func (x *keyTimeOrder[V]) expire(last int64) (n int, err error) {
	return x.expireSome(last, math.MaxInt)
}

// expireSome is expire for at most limit rows.
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

// expireCommitted deletes at most limit rows of the partition with a time of last or earlier, and returns the time of
// the first row that stays.
func (x *keyTimeOrder[V]) expireCommitted(last int64, limit int) (oldest int64, n int, err error) {
	// Starting at the oldest row skips the tombstones that engines keep of deleted local rows.
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
