package state

import (
	"cmp"
	"iter"
	"math"
	"strings"
)

// timestampOrder is a time order by the timestamps of the rows, and then by their keys. A local row leads to each row.
// Callers remove places in order:
//
//	committed, by their local rows    10 a   12 c │ 15 b   …       read a few at a time
//	                                  └ ahead     │ not read yet
//	fresh, a heap                     11 x   13 y                  places of rows that are dirty
//
// A commit turns fresh places into committed ones, and local rows that were read are read again.
type timestampOrder[V any] struct {
	rows  *cache[V]
	fresh heap[place]

	ahead []place // committed places that were read and not removed yet
	next  []byte  // the suffix of the local row to read next
	end   bool    // all local rows were read
	chunk int     // how many places to read next

	floor, flushedFloor int64 // lower bounds of the committed and the flushed places

	obsolete []string // keys of local rows that are obsolete
	flushed  int      // how many obsolete local rows the last flush deleted
}

// place is the position of a row in the order of timestamps.
type place struct {
	time int64
	key  string // store key
}

func (p place) compare(other place) int {
	if c := cmp.Compare(p.time, other.time); c != 0 {
		return c
	}
	return strings.Compare(p.key, other.key)
}

const (
	firstPlaces = 16 // how many places the first read after a commit reads
	maxPlaces   = 512
)

// newTimestampOrder gives rows a time order by their timestamps.
func newTimestampOrder[V any](rows *cache[V]) timestampOrder[V] {
	name := rows.spec.Name
	rows.localMoves = true
	rows.localKey = func(dst, storeKey []byte, timestamp int64) []byte {
		return appendLocalByTimestamp(dst, name, storeKey, timestamp)
	}
	x := timestampOrder[V]{
		rows: rows, fresh: newHeap(place.compare), floor: math.MinInt64, flushedFloor: math.MinInt64,
	}
	x.rewind()
	return x
}

// rewind forgets the local rows that were read.
func (x *timestampOrder[V]) rewind() {
	clear(x.ahead)
	x.ahead = x.ahead[:0]
	x.next = appendInt64(x.next[:0], x.floor)
	x.end = false
	x.chunk = firstPlaces
}

// unread returns the time from which committed places must still be read. It returns false if some of the places that
// were read have not been removed yet, or if there are no more places to read.
func (x *timestampOrder[V]) unread() (from int64, ok bool) {
	if len(x.ahead) > 0 || x.end {
		return 0, false
	}
	return readInt64(x.next), true
}

// read yields the next local rows. The caller appends the places that are still valid to ahead.
func (x *timestampOrder[V]) read() iter.Seq2[localRow, error] {
	return func(yield func(localRow, error) bool) {
		x.ahead = x.ahead[:0]
		for local, err := range scanTimeOrderFrom(x.rows.part, x.rows.spec.Name, x.next) {
			if err == nil && len(x.ahead) == x.chunk {
				x.next = append(x.next[:0], local.suffix...)
				x.chunk = min(2*x.chunk, maxPlaces)
				return
			}
			if !yield(local, err) || err != nil {
				return
			}
		}
		x.end = true
	}
}

// first returns the first place of ahead and fresh together, and whether it is fresh. It returns false if there is
// none.
func (x *timestampOrder[V]) first() (p place, fresh, ok bool) {
	p, ok = x.fresh.first()
	if len(x.ahead) == 0 || ok && p.compare(x.ahead[0]) < 0 {
		return p, ok, ok
	}
	return x.ahead[0], false, true
}

// take removes the first place.
func (x *timestampOrder[V]) take(fresh bool) {
	if fresh {
		x.fresh.pop()
		return
	}
	x.ahead[0] = place{}
	x.ahead = x.ahead[1:]
}

func (x *timestampOrder[V]) flush(b *Batch) {
	for _, key := range x.obsolete {
		b.DeleteLocal([]byte(key))
	}
	x.flushed, x.flushedFloor = len(x.obsolete), x.lowest()
}

// commit makes the flushed places committed ones. The caller then pushes the places that are still fresh.
func (x *timestampOrder[V]) commit() {
	x.floor = x.flushedFloor
	x.obsolete = append(x.obsolete[:0], x.obsolete[x.flushed:]...)
	x.flushed = 0
	x.fresh.clear()
	x.rewind()
}

func (x *timestampOrder[V]) rollback() {
	x.obsolete, x.flushed = nil, 0
	x.fresh.clear()
	x.rewind()
}

// lowest returns a lower bound of the times of all places.
func (x *timestampOrder[V]) lowest() int64 {
	lowest := int64(math.MaxInt64)
	switch {
	case len(x.ahead) > 0:
		lowest = x.ahead[0].time
	case !x.end:
		lowest = readInt64(x.next)
	}
	if p, ok := x.fresh.first(); ok {
		lowest = min(lowest, p.time)
	}
	return lowest
}
