package state

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"strings"
)

// endedRows yields the rows of a store by time, including uncommitted changes. Callers ask for consecutive ranges of
// time. The rows after the last range are prepared, so that an empty range costs almost nothing:
//
//	            last range │ next range
//	committed    a   b  c  │  a      d       local rows, read ahead
//	dirty          c       │     b      a    a heap
type endedRows[V any] struct {
	rows   *cache[V]
	times  int   // bytes at the end of store keys that hold times
	done   int64 // the end of the last range
	broken bool  // the loop over the last range ended early
	dirty  heap[timedRow[V]]

	ahead []aheadRow // local rows after the last range
	begun bool       // local rows were read
	upTo  string     // the suffix of the last local row that was read
	all   bool       // there are no more local rows

	key []byte // scratch for store keys
}

// aheadRow is a local row that leads to a committed row.
type aheadRow struct {
	time   int64
	suffix string
}

// readAhead is how many local rows are read at once.
const readAhead = 256

// newEndedRows prepares to yield rows by the times at the end of their store keys.
func newEndedRows[V any](rows *cache[V], times int) *endedRows[V] {
	o := &endedRows[V]{rows: rows, times: times}
	o.dirty = newHeap(o.compare)
	rows.onDirty = func(r *row[V]) {
		if e := o.timed(r); e.time > o.done {
			o.dirty.push(e)
		}
	}
	o.reset()
	return o
}

// reset starts again after a commit or a rollback has changed which rows are dirty or committed.
func (o *endedRows[V]) reset() {
	o.done, o.broken = math.MinInt64, false
	o.ahead, o.begun, o.upTo, o.all = o.ahead[:0], false, "", false
	o.dirty.clear()
	o.rows.dirty.each(func(r *row[V]) { o.dirty.items = append(o.dirty.items, o.timed(r)) })
	o.dirty.order()
}

// scan yields the rows with after < time <= last.
func (o *endedRows[V]) scan(after, last int64) iter.Seq2[scanned[V], error] {
	return func(yield func(scanned[V], error) bool) {
		if after < o.done || o.broken {
			o.reset()
		}
		o.broken = true
		for {
			s, ok, err := o.next(after, last)
			if err != nil {
				yield(scanned[V]{}, fmt.Errorf("scan store %q: %w", o.rows.spec.Name, err))
				return
			}
			if !ok {
				break
			}
			if !yield(s, nil) {
				return
			}
		}
		o.done, o.broken = max(o.done, last), false
	}
}

// next removes and returns the next row of a range.
func (o *endedRows[V]) next(after, last int64) (s scanned[V], ok bool, err error) {
	for {
		committed, err := o.peek(after)
		if err != nil {
			return s, false, err
		}
		if committed != nil && committed.time > last {
			committed = nil
		}
		dirty, found := o.dirty.first()
		switch {
		case found && dirty.time <= last && (committed == nil || o.notAbove(dirty.row, committed.suffix)):
			o.dirty.pop()
			if r := dirty.row; dirty.time > after && r.present {
				o.key = append(o.key[:0], r.key...)
				return scanned[V]{key: o.key, value: r.value, timestamp: r.timestamp}, true, nil
			}
		case committed != nil:
			o.key = appendStoreKeyOfLocal(o.key[:0], []byte(committed.suffix), o.times)
			o.ahead = o.ahead[1:]
			if s, ok, err = o.read(); ok || err != nil {
				return s, ok, err
			}
		default:
			return s, false, nil
		}
	}
}

// peek returns the first local row after a time, or nil if there is none.
func (o *endedRows[V]) peek(after int64) (*aheadRow, error) {
	for {
		for len(o.ahead) > 0 && o.ahead[0].time <= after {
			o.ahead = o.ahead[1:]
		}
		if len(o.ahead) > 0 {
			return &o.ahead[0], nil
		}
		if o.all {
			return nil, nil
		}
		if err := o.readOn(after); err != nil {
			return nil, err
		}
	}
}

// readOn reads the next local rows.
func (o *endedRows[V]) readOn(after int64) error {
	from := append([]byte(o.upTo), 0) // the first key above
	if !o.begun {
		from = appendInt64(nil, after)
	}
	o.rows.counts.scans++
	o.begun, o.all, o.ahead = true, true, o.ahead[:0]
	for local, err := range scanTimeOrderFrom(o.rows.part, o.rows.spec.Name, from) {
		if err != nil {
			o.broken = true
			return err
		}
		if len(o.ahead) == readAhead {
			o.all = false
			return nil
		}
		o.upTo = string(local.suffix)
		o.ahead = append(o.ahead, aheadRow{local.time, o.upTo})
	}
	return nil
}

// read returns the committed row of o.key, and false if it is dirty or gone.
func (o *endedRows[V]) read() (s scanned[V], ok bool, err error) {
	c := o.rows
	if r := c.rows[string(o.key)]; r != nil {
		return scanned[V]{key: o.key, value: r.value, timestamp: r.timestamp}, r.present && !r.dirty, nil
	}
	data, ok, err := c.part.Get(c.value[:0], c.partitionKey(o.key))
	if err != nil || !ok {
		return s, false, err
	}
	c.value = data[:0]
	s.key = o.key
	s.timestamp, s.value, err = decodeRow(c.codec, data)
	return s, err == nil, err
}

// timedRow is a dirty row and its time. The heap may hold rows that were deleted, or whose range is over.
type timedRow[V any] struct {
	time int64
	row  *row[V]
}

func (o *endedRows[V]) timed(r *row[V]) timedRow[V] {
	_, times := o.split(r)
	return timedRow[V]{readInt64([]byte(times[:timeSize])), r}
}

func (o *endedRows[V]) compare(a, b timedRow[V]) int {
	if c := cmp.Compare(a.time, b.time); c != 0 {
		return c
	}
	aKey, aTimes := o.split(a.row)
	bKey, bTimes := o.split(b.row)
	return cmp.Or(strings.Compare(aTimes, bTimes), strings.Compare(aKey, bKey))
}

// notAbove reports whether a row is before the row that a local row with the given suffix leads to, or is that row.
func (o *endedRows[V]) notAbove(r *row[V], suffix string) bool {
	key, times := o.split(r)
	return cmp.Or(strings.Compare(times, suffix[:o.times]), strings.Compare(key, suffix[o.times:])) <= 0
}

func (o *endedRows[V]) split(r *row[V]) (key, times string) {
	cut := len(r.key) - o.times
	return r.key[:cut], r.key[cut:]
}
