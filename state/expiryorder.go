package state

import (
	"cmp"
	"math"
	"strings"
)

// expiryOrder finds the rows of a store with a TTL by their timestamps, and then by their keys: those whose local row is
// committed, and those that were put since.
//
//	committed, by their local rows    10 a   12 c │ 15 b   …       read a few at a time
//	                                  └ behind is │ what expired
//	fresh, a heap                     11 x   13 y
//
// A row that is put again keeps its place in the heap: when its turn comes, it is put where it belongs. Local rows lead to rows
// that have changed since, too; what they lead to is looked at when their turn comes.
type expiryOrder[V any] struct {
	rows  *cache[V]
	fresh heap[expiryPlace]
	times map[string]int64 // the place of each key in the heap

	ahead []expiryPlace // read and not yet looked at
	from  []byte        // where to read on: the suffix of a local row
	end   bool          // all local rows were read
	chunk int           // how many to read next

	floor, flushedFloor int64 // no committed local row, or none that was flushed, is lower

	obsolete []string // local rows without a row
	flushed  int      // how many of obsolete the last flush deleted
}

// expiryPlace is the place of a row.
type expiryPlace struct {
	time int64
	key  string // store key
}

func (p expiryPlace) compare(other expiryPlace) int {
	return cmp.Or(cmp.Compare(p.time, other.time), strings.Compare(p.key, other.key))
}

func newExpiryOrder[V any](rows *cache[V]) expiryOrder[V] {
	o := expiryOrder[V]{
		rows: rows, fresh: newHeap(expiryPlace.compare), times: make(map[string]int64),
		floor: math.MinInt64, flushedFloor: math.MinInt64,
	}
	o.rewind()
	return o
}

// rewind forgets what was read of the local rows.
func (o *expiryOrder[V]) rewind() {
	clear(o.ahead)
	o.ahead = o.ahead[:0]
	o.from = appendInt64(o.from[:0], o.floor)
	o.end = false
	o.chunk = firstPlaces
}

// put says that a row was put.
func (o *expiryOrder[V]) put(r *row[V]) {
	if time, ok := o.times[r.key]; ok && time <= r.timestamp {
		return
	}
	o.times[r.key] = r.timestamp
	o.fresh.push(expiryPlace{r.timestamp, r.key})
}

// next returns the first row with a timestamp before the given time, nil if there is none. It must be removed.
func (o *expiryOrder[V]) next(before int64) (*row[V], error) {
	for {
		for len(o.ahead) == 0 && !o.end && readInt64(o.from) < before {
			if err := o.read(); err != nil {
				return nil, err
			}
		}
		var r *row[V]
		var err error
		fresh, ok := o.fresh.first()
		switch {
		case ok && fresh.time < before && (len(o.ahead) == 0 || fresh.compare(o.ahead[0]) < 0):
			r = o.popFresh()
		case len(o.ahead) > 0 && o.ahead[0].time < before:
			r, err = o.popCommitted()
		default:
			return nil, nil
		}
		if r != nil || err != nil {
			return r, err
		}
	}
}

// popFresh removes the first place of the heap. It returns the row if that is still its place.
func (o *expiryOrder[V]) popFresh() *row[V] {
	p := o.fresh.pop()
	if time, ok := o.times[p.key]; !ok || time != p.time {
		return nil // the row had an earlier place as well, whose turn was before
	}
	delete(o.times, p.key)
	r := o.rows.lookup([]byte(p.key))
	switch {
	case r == nil || !r.present:
		return nil
	case r.timestamp != p.time:
		o.put(r)
		return nil
	}
	return r
}

// popCommitted removes the first local row that was read. It returns the row that it leads to if it is that row's place.
func (o *expiryOrder[V]) popCommitted() (*row[V], error) {
	p := o.ahead[0]
	o.ahead[0] = expiryPlace{}
	o.ahead = o.ahead[1:]
	r, err := o.rows.get([]byte(p.key))
	if err != nil {
		return nil, err
	}
	if r.committed != exists || r.indexed != p.time {
		// The row's own local row, if there is one, is another one.
		o.obsolete = append(o.obsolete, string(appendTTLIndexKey(nil, o.rows.spec.Name, []byte(p.key), p.time)))
	}
	if !r.present || r.timestamp != p.time {
		return nil, nil
	}
	return r, nil
}

// read reads the next local rows.
func (o *expiryOrder[V]) read() error {
	o.ahead = o.ahead[:0]
	for index, err := range scanIndexFrom(o.rows.part, o.rows.spec.Name, o.from) {
		if err != nil {
			return err
		}
		if len(o.ahead) == o.chunk {
			o.from = append(o.from[:0], index.suffix...)
			o.chunk = min(2*o.chunk, maxPlaces)
			return nil
		}
		o.ahead = append(o.ahead, expiryPlace{index.time, string(index.suffix[timeSize:])})
	}
	o.end = true
	return nil
}

func (o *expiryOrder[V]) flush(b *Batch) {
	for _, key := range o.obsolete {
		b.DeleteLocal([]byte(key))
	}
	o.flushed = len(o.obsolete)
	o.flushedFloor = o.lowest()
}

// commit makes the places of rows committed ones, unless they were changed since the flush.
func (o *expiryOrder[V]) commit() {
	o.floor = o.flushedFloor
	o.obsolete = append(o.obsolete[:0], o.obsolete[o.flushed:]...)
	o.flushed = 0
	o.refill()
}

func (o *expiryOrder[V]) rollback() {
	o.floor = math.MinInt64
	o.obsolete, o.flushed = nil, 0
	o.refill()
}

// refill makes the heap that of the rows that are dirty now.
func (o *expiryOrder[V]) refill() {
	o.fresh.clear()
	clear(o.times)
	o.rows.dirty.each(func(r *row[V]) {
		if r.present {
			o.put(r)
		}
	})
	o.rewind()
}

// lowest returns a time that no place is below.
func (o *expiryOrder[V]) lowest() int64 {
	lowest := int64(math.MaxInt64)
	switch {
	case len(o.ahead) > 0:
		lowest = o.ahead[0].time
	case !o.end:
		lowest = readInt64(o.from)
	}
	if p, ok := o.fresh.first(); ok {
		lowest = min(lowest, p.time)
	}
	return lowest
}
