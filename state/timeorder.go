package state

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"strings"
)

// timeOrder yields the rows of a store in the order of its index by time, changes that are not committed included. It is
// asked for one range of time after the other. What lies behind the last one is at hand, so that a range in which
// nothing is costs next to nothing:
//
//	            last range │ next range
//	committed    a   b  c  │  a      d       local rows, read ahead
//	dirty          c       │     b      a    a heap
type timeOrder[V any] struct {
	rows   *cache[V]
	done   int64 // the end of the last range
	broken bool  // the last range was left in the middle
	dirty  timeHeap[V]

	ahead []aheadRow // local rows behind the last range
	begun bool       // something was read ahead
	upTo  string     // the suffix of the last local row that was
	all   bool       // no local row is behind it

	key []byte // scratch for store keys
}

// aheadRow is a local row that leads to a committed row.
type aheadRow struct {
	time   int64
	suffix string
}

// readAhead is how many local rows are read at once.
const readAhead = 256

// newTimeOrder begins to keep an order of the rows, which have an index by the times at the end of their store keys.
func newTimeOrder[V any](rows *cache[V], times int) *timeOrder[V] {
	o := &timeOrder[V]{rows: rows, dirty: timeHeap[V]{times: times}}
	rows.onDirty = func(r *row[V]) {
		if e := o.dirty.entry(r); e.time > o.done {
			o.dirty.push(e)
		}
	}
	o.reset()
	return o
}

// reset begins anew: other rows are dirty now, or committed.
func (o *timeOrder[V]) reset() {
	o.done, o.broken = math.MinInt64, false
	o.ahead, o.begun, o.upTo, o.all = o.ahead[:0], false, "", false
	o.dirty.fill(&o.rows.dirty)
}

// scan yields the rows with after < time <= last.
func (o *timeOrder[V]) scan(after, last int64) iter.Seq2[scanned[V], error] {
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

// next returns the next row of a range, which is then not at hand any more.
func (o *timeOrder[V]) next(after, last int64) (s scanned[V], ok bool, err error) {
	for {
		committed, err := o.peek(after)
		if err != nil {
			return s, false, err
		}
		if committed != nil && committed.time > last {
			committed = nil
		}
		switch {
		case o.dirty.due(last) && (committed == nil || o.dirty.before(committed.suffix)):
			e := o.dirty.pop()
			if e.time > after && e.row.present {
				o.key = append(o.key[:0], e.row.key...)
				return scanned[V]{key: o.key, value: e.row.value, timestamp: e.row.timestamp}, true, nil
			}
		case committed != nil:
			o.key = appendKeyOfIndex(o.key[:0], []byte(committed.suffix), o.dirty.times)
			o.ahead = o.ahead[1:]
			if s, ok, err = o.read(); ok || err != nil {
				return s, ok, err
			}
		default:
			return s, false, nil
		}
	}
}

// peek returns the first local row behind a time, nil if there is none.
func (o *timeOrder[V]) peek(after int64) (*aheadRow, error) {
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

// readOn reads the local rows that come next.
func (o *timeOrder[V]) readOn(after int64) error {
	from := append([]byte(o.upTo), 0) // the first key above
	if !o.begun {
		from = appendInt64(nil, after)
	}
	o.rows.counts.scans++
	o.begun, o.all, o.ahead = true, true, o.ahead[:0]
	for index, err := range scanIndexFrom(o.rows.part, o.rows.spec.Name, from) {
		if err != nil {
			o.broken = true
			return err
		}
		if len(o.ahead) == readAhead {
			o.all = false
			return nil
		}
		o.upTo = string(index.suffix)
		o.ahead = append(o.ahead, aheadRow{index.time, o.upTo})
	}
	return nil
}

// read returns the committed row of o.key, and false if it is dirty or gone.
func (o *timeOrder[V]) read() (s scanned[V], ok bool, err error) {
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

// timeHeap holds dirty rows, the first one in the order of the index on top. A row that was deleted, or is up to the
// end of the last range by now, may be among them.
type timeHeap[V any] struct {
	times int // bytes at the end of store keys that hold times
	rows  []timedRow[V]
}

type timedRow[V any] struct {
	time int64
	row  *row[V]
}

func (h *timeHeap[V]) entry(r *row[V]) timedRow[V] {
	_, times := h.split(r)
	return timedRow[V]{readInt64([]byte(times[:timeSize])), r}
}

func (h *timeHeap[V]) split(r *row[V]) (key, times string) {
	cut := len(r.key) - h.times
	return r.key[:cut], r.key[cut:]
}

func (h *timeHeap[V]) due(last int64) bool { return len(h.rows) > 0 && h.rows[0].time <= last }

// before reports whether the first row comes before, or is, the one that a local row with the given suffix leads to.
func (h *timeHeap[V]) before(suffix string) bool {
	key, times := h.split(h.rows[0].row)
	if c := cmp.Compare(times, suffix[:h.times]); c != 0 {
		return c < 0
	}
	return strings.Compare(key, suffix[h.times:]) <= 0
}

func (h *timeHeap[V]) less(i, j int) bool {
	a, b := h.rows[i], h.rows[j]
	if a.time != b.time {
		return a.time < b.time
	}
	aKey, aTimes := h.split(a.row)
	bKey, bTimes := h.split(b.row)
	if aTimes != bTimes {
		return aTimes < bTimes
	}
	return aKey < bKey
}

func (h *timeHeap[V]) push(e timedRow[V]) {
	h.rows = append(h.rows, e)
	for i := len(h.rows) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.less(i, parent) {
			return
		}
		h.rows[i], h.rows[parent] = h.rows[parent], h.rows[i]
		i = parent
	}
}

func (h *timeHeap[V]) pop() timedRow[V] {
	first, last := h.rows[0], len(h.rows)-1
	h.rows[0], h.rows[last] = h.rows[last], timedRow[V]{}
	h.rows = h.rows[:last]
	h.sink(0)
	return first
}

func (h *timeHeap[V]) sink(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.rows); child++ {
			if h.less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.rows[i], h.rows[least] = h.rows[least], h.rows[i]
		i = least
	}
}

// fill makes the heap that of all dirty rows.
func (h *timeHeap[V]) fill(dirty *dirtyRows[V]) {
	clear(h.rows)
	h.rows = h.rows[:0]
	dirty.each(func(r *row[V]) { h.rows = append(h.rows, h.entry(r)) })
	for i := len(h.rows)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}
