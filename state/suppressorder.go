package state

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// suppressPlace is the place of an entry of a suppress buffer.
type suppressPlace struct {
	time int64
	key  string // store key
	era  uint64 // when the entry got the place
}

func (p suppressPlace) compare(other suppressPlace) int {
	return cmp.Or(cmp.Compare(p.time, other.time), strings.Compare(p.key, other.key))
}

// suppressOrder finds the entry of a suppress buffer that comes first: the first one of those whose place is committed
// and of those that got theirs since. Entries leave at the front only.
//
//	committed, by their local rows     10 a   12 c │ 15 b   …            read a few at a time
//	                                   └ behind is │ what was evicted
//	fresh, a heap                      11 x   13 y
//
// A commit makes fresh places committed ones, and what was read of the local rows is read again. Eras tell which is
// which while a commit is under way and changes go on.
type suppressOrder[V any] struct {
	rows  *cache[suppressed[V]]
	fresh heap[suppressPlace]

	ahead []suppressPlace // committed places that were read and are still there
	next  []byte          // where to read on: the suffix of a local row
	end   bool            // all local rows were read
	chunk int             // how many to read next

	floor, flushedFloor int64 // no place that is committed, or was flushed, is lower

	era, flushedEra, committedEra uint64

	obsolete []string // local rows without a row
	flushed  int      // how many of obsolete the last flush deleted
}

const (
	firstPlaces = 16 // how many places are read at first after a commit
	maxPlaces   = 512
)

func newSuppressOrder[V any](rows *cache[suppressed[V]]) suppressOrder[V] {
	o := suppressOrder[V]{
		rows: rows, fresh: newHeap(suppressPlace.compare), floor: math.MinInt64, flushedFloor: math.MinInt64, era: 1,
	}
	o.rewind()
	return o
}

// rewind forgets what was read of the local rows.
func (o *suppressOrder[V]) rewind() {
	clear(o.ahead)
	o.ahead = o.ahead[:0]
	o.next = appendInt64(o.next[:0], o.floor)
	o.end = false
	o.chunk = firstPlaces
}

// add says that an entry got a place, and returns the era.
func (o *suppressOrder[V]) add(time int64, key string) uint64 {
	o.fresh.push(suppressPlace{time: time, key: key, era: o.era})
	return o.era
}

// first returns the place of the entry that comes first, and false if there is none.
func (o *suppressOrder[V]) first() (p suppressPlace, ok bool, err error) {
	fresh, ok := o.fresh.first()
	for len(o.ahead) == 0 && !o.end {
		if ok && fresh.time < readInt64(o.next) {
			return fresh, true, nil
		}
		if err := o.read(); err != nil {
			return p, false, fmt.Errorf("read store %q by time: %w", o.rows.spec.Name, err)
		}
	}
	if len(o.ahead) == 0 || ok && fresh.compare(o.ahead[0]) < 0 {
		return fresh, ok, nil
	}
	return o.ahead[0], true, nil
}

// remove removes the place that first returned.
func (o *suppressOrder[V]) remove(p suppressPlace) {
	if p.era > o.committedEra {
		o.fresh.pop()
		return
	}
	o.ahead[0] = suppressPlace{}
	o.ahead = o.ahead[1:]
}

// read reads the next committed places. It comes across local rows that lead to nothing, which restore leaves behind.
func (o *suppressOrder[V]) read() error {
	o.ahead = o.ahead[:0]
	for index, err := range scanIndexFrom(o.rows.part, o.rows.spec.Name, o.next) {
		if err != nil {
			return err
		}
		if len(o.ahead) == o.chunk {
			o.next = append(o.next[:0], index.suffix...)
			o.chunk = min(2*o.chunk, maxPlaces)
			return nil
		}
		r, err := o.rows.get(index.suffix[timeSize:])
		if err != nil {
			return err
		}
		switch {
		case r.present && r.timestamp == index.time:
			if r.value.era <= o.committedEra {
				o.ahead = append(o.ahead, suppressPlace{time: index.time, key: r.key})
			}
		case r.committed != exists || r.indexed != index.time:
			// The row's own local row, if there is one, is another one.
			o.obsolete = append(o.obsolete, string(index.key))
		}
	}
	o.end = true
	return nil
}

func (o *suppressOrder[V]) flush(b *Batch) {
	for _, key := range o.obsolete {
		b.DeleteLocal([]byte(key))
	}
	o.flushed = len(o.obsolete)
	o.flushedEra, o.flushedFloor = o.era, o.lowest()
	o.era++
}

func (o *suppressOrder[V]) commit() {
	o.floor = o.flushedFloor
	o.fresh.items = slices.DeleteFunc(o.fresh.items, func(p suppressPlace) bool { return p.era <= o.flushedEra })
	o.fresh.order()
	o.committedEra = o.flushedEra
	o.obsolete = append(o.obsolete[:0], o.obsolete[o.flushed:]...)
	o.flushed = 0
	o.rewind()
}

// lowest returns a time that no place is below.
func (o *suppressOrder[V]) lowest() int64 {
	lowest := int64(math.MaxInt64)
	switch {
	case len(o.ahead) > 0:
		lowest = o.ahead[0].time
	case !o.end:
		lowest = readInt64(o.next)
	}
	if p, ok := o.fresh.first(); ok {
		lowest = min(lowest, p.time)
	}
	return lowest
}

func (o *suppressOrder[V]) rollback() {
	o.fresh.clear()
	o.obsolete, o.flushed = nil, 0
	o.rewind()
}

// suppressTotals are the sums over the entries of a suppress buffer.
type suppressTotals struct{ now, flushed, committed suppressSum }

type suppressSum struct {
	entries int64
	bytes   int64 // of the entries whose size is known
}

func (s suppressSum) append(dst []byte) []byte {
	return appendInt64(appendInt64(dst, s.entries), s.bytes)
}

// readSuppressTotals reads the row of the store, the one with the empty store key.
func readSuppressTotals(part Partition, store string) (suppressTotals, error) {
	data, ok, err := part.Get(nil, AppendRowKey(nil, store, nil))
	if err == nil && ok && len(data) != 2*timeSize {
		err = errShortTotals
	}
	if err != nil {
		return suppressTotals{}, fmt.Errorf("read store %q: totals: %w", store, err)
	}
	if !ok {
		return suppressTotals{}, nil
	}
	sum := suppressSum{entries: readInt64(data), bytes: readInt64(data[timeSize:])}
	return suppressTotals{now: sum, flushed: sum, committed: sum}, nil
}
