package state

import (
	"math"
	"slices"
	"sort"
)

// recentRows tracks the rows of recently used keys by time, so that lookups near stream time need no scan. It holds no
// rows itself, it finds cached ones:
//
//	              cachedFrom
//	LH    │ ▪   ▪    │   ▪  ▪      a run: all rows of LH from the start of the run on
//	BA               │     ▪       a run that starts at cachedFrom
//	KL               │             no run: no rows from cachedFrom on
//
// All rows of all keys with a time of cachedFrom or later are cached. When a row is evicted, the run of its key then
// starts after the time of the row, and cachedFrom moves there, too, unless it is later already. A lookup before the
// start of a run scans the missing rows and extends the run. After a rollback nothing is tracked.
//
// The time of a row is its time in the time order of the store.
type recentRows[V any] struct {
	rows       *cache[V]
	times      int                   // bytes at the end of store keys that hold times; the first 8 are the time
	runs       map[string]*rowRun[V] // nil until the first lookup
	last       *rowRun[V]            // the run used last; if it is empty, runs may not have it
	loading    rowRun[V]             // rows that extend has read and that belong to no run yet
	cachedFrom int64                 // nothing is tracked if it is unknownTime
}

// rowRun holds all rows of a key with a time of from or later, in the order of their store keys.
type rowRun[V any] struct {
	key    string // without times
	from   int64  // the run holds nothing if it is unknownTime
	rows   []*row[V]
	listed bool // in recentRows.runs
	broken bool // a row was evicted while the run was loaded
}

const (
	// unknownTime is the end of time: a run that starts there holds nothing.
	unknownTime = math.MaxInt64
	// keyRunOverhead is the memory of a run besides its key, rowInRun the memory of each row in it.
	keyRunOverhead = 128
	rowInRun       = 16
	// maxRowsAhead is how many rows after the requested ones a lookup may read to complete a run.
	maxRowsAhead = 128
)

// newRecentRows makes a cache track its rows by the times at the end of their store keys.
func newRecentRows[V any](rows *cache[V], times int) *recentRows[V] {
	x := &recentRows[V]{rows: rows, times: times, cachedFrom: unknownTime}
	rows.recent = x
	return x
}

// find returns the rows of a key with a time of from or later. They are valid until the store changes. It returns false
// if the caller must scan the range instead.
func (x *recentRows[V]) find(key []byte, from, to int64) (rows []*row[V], ok bool, err error) {
	if from == unknownTime {
		return nil, false, nil
	}
	if x.runs == nil {
		if err := x.begin(); err != nil {
			return nil, false, err
		}
	}
	run := x.of(key)
	switch {
	case run == nil && from >= x.cachedFrom, run != nil && from >= run.from:
	case run != nil && to <= run.from && len(run.rows) > 0:
		return nil, false, nil // far in the past: reading all rows in between is not worth it
	default:
		if run, err = x.extend(run, key, from, to); run == nil || err != nil {
			return nil, false, err
		}
	}
	if run == nil {
		return nil, true, nil
	}
	return run.rows[x.firstFrom(run.rows, from):], true, nil
}

// of returns the run of a key, nil if it has none.
func (x *recentRows[V]) of(key []byte) *rowRun[V] {
	if x.last != nil && x.last.key == string(key) {
		return x.last
	}
	run := x.runs[string(key)]
	if run != nil {
		x.use(run)
	}
	return run
}

// use makes run the one used last.
func (x *recentRows[V]) use(run *rowRun[V]) {
	if last := x.last; last != nil && last.listed && len(last.rows) == 0 {
		x.unlist(last)
	}
	x.last = run
}

// begin sets cachedFrom to the first time after all rows of the partition and of the cache.
func (x *recentRows[V]) begin() error {
	end, err := timeOrderEnd(x.rows.part, x.rows.spec.Name)
	if err != nil {
		return err
	}
	for _, r := range x.rows.ring {
		if r.present {
			end = max(end, nextTime(x.time(r.key)))
		}
	}
	x.runs, x.cachedFrom = map[string]*rowRun[V]{}, end
	return nil
}

// extend reads the rows from a time to the start of a run and returns the run, which is new if there was none. It
// returns nil if memory is short, or if it had to read too many rows that were not requested.
func (x *recentRows[V]) extend(run *rowRun[V], key []byte, from, to int64) (*rowRun[V], error) {
	if run == nil {
		run = &rowRun[V]{key: string(key), from: x.cachedFrom}
		x.use(run)
	}
	begin, ahead := run.from, 0
	escaped := appendEscaped(nil, key)
	high := afterEscaped(escaped)
	if begin != unknownTime {
		high = appendInt64(slices.Clip(escaped), begin)
	}
	before := &x.loading
	before.broken = false
	defer x.clear(before)
	for s, err := range x.rows.scan(appendInt64(slices.Clip(escaped), from), high) {
		if err != nil {
			return nil, err
		}
		if x.timeOf(s.key) >= to {
			ahead++
		}
		if ahead > maxRowsAhead {
			return nil, nil
		}
		r := x.rows.rows[string(s.key)]
		if r == nil {
			r = &row[V]{value: s.value, timestamp: s.timestamp, localTime: s.timestamp, present: true, committed: exists}
			x.rows.insert(r, s.key, x.rows.valueSize)
		}
		if before.broken {
			return nil, nil
		}
		x.link(before, len(before.rows), r)
	}
	if run.from != begin || before.broken {
		return nil, nil
	}
	for _, r := range before.rows {
		r.run = run
	}
	run.rows, run.from = slices.Insert(run.rows, 0, before.rows...), from
	clear(before.rows)
	before.rows = before.rows[:0]
	x.list(run)
	return run, nil
}

// put sets the value of a row of a key.
func (x *recentRows[V]) put(key, rowKey []byte, value V, timestamp int64) {
	c := x.rows
	run, known := x.knows(key, rowKey)
	if !known {
		c.put(rowKey, value, timestamp)
		return
	}
	if run != nil {
		if i, found := run.search(rowKey); found {
			c.set(run.rows[i], value, timestamp)
			return
		}
	}
	r := c.putNew(rowKey, value, timestamp)
	if run == nil {
		run = &rowRun[V]{key: string(key), from: x.cachedFrom}
		x.use(run)
	}
	if time := x.timeOf(rowKey); run.from == unknownTime || time < run.from {
		return // making room for the row has evicted rows of the run
	}
	i, _ := run.search(rowKey)
	x.link(run, i, r)
	x.list(run)
}

// remove removes a row of a key. The row need not exist, and is not expected to be put again.
func (x *recentRows[V]) remove(key, rowKey []byte) {
	c := x.rows
	run, known := x.knows(key, rowKey)
	if !known {
		c.delete(rowKey)
		return
	}
	c.counts.deletes++
	if run == nil {
		return
	}
	if i, found := run.search(rowKey); found {
		r := run.rows[i]
		c.remove(r)
		r.transient = true
		if r.committed == absent {
			c.withdraw(r)
		}
	}
}

// knows reports whether the rows of a key from the time of rowKey on are all tracked, and returns their run. The run is
// nil if there are no such rows.
func (x *recentRows[V]) knows(key, rowKey []byte) (run *rowRun[V], known bool) {
	if x.runs == nil {
		return nil, false
	}
	from := x.cachedFrom
	if run = x.of(key); run != nil {
		from = run.from
	}
	return run, from != unknownTime && x.timeOf(rowKey) >= from
}

// removed takes a row out of its run after it was deleted.
func (x *recentRows[V]) removed(r *row[V]) {
	i := x.firstFrom(r.run.rows, x.time(r.key))
	for r.run.rows[i] != r {
		i++
	}
	x.unlink(r.run, i, i+1)
}

// evicted takes a row out of its run after it was evicted from the cache.
func (x *recentRows[V]) evicted(r *row[V]) {
	run := r.run
	if run == &x.loading {
		run.broken = true
		x.clear(run)
		return
	}
	run.from = nextTime(x.time(r.key))
	x.cachedFrom = max(x.cachedFrom, run.from)
	if run.from == unknownTime {
		x.clear(run)
	} else {
		x.unlink(run, 0, x.firstFrom(run.rows, run.from))
	}
}

// forget forgets everything, because a rollback has changed which rows exist.
func (x *recentRows[V]) forget() {
	x.last = nil
	for _, run := range x.runs {
		x.clear(run)
	}
	x.runs, x.cachedFrom = nil, unknownTime
}

func (x *recentRows[V]) clear(run *rowRun[V]) { x.unlink(run, 0, len(run.rows)) }

// link inserts a row into a run.
func (x *recentRows[V]) link(run *rowRun[V], i int, r *row[V]) {
	run.rows = slices.Insert(run.rows, i, r)
	r.run = run
	x.rows.account.addUsed(rowInRun)
}

// unlink takes rows out of a run. An empty run is unlisted, unless it is the one used last.
func (x *recentRows[V]) unlink(run *rowRun[V], from, to int) {
	for _, r := range run.rows[from:to] {
		r.run = nil
	}
	run.rows = slices.Delete(run.rows, from, to)
	x.rows.account.addUsed(-rowInRun * int64(to-from))
	if len(run.rows) == 0 && run.listed && run != x.last {
		x.unlist(run)
	}
}

// list adds a run to runs, unless it is empty.
func (x *recentRows[V]) list(run *rowRun[V]) {
	if run.listed || len(run.rows) == 0 {
		return
	}
	run.listed = true
	x.runs[run.key] = run
	x.rows.account.addUsed(keyRunOverhead + int64(len(run.key)))
}

func (x *recentRows[V]) unlist(run *rowRun[V]) {
	run.listed = false
	delete(x.runs, run.key)
	x.rows.account.addUsed(-keyRunOverhead - int64(len(run.key)))
}

// firstFrom returns the position of the first row with that time or a later one.
func (x *recentRows[V]) firstFrom(rows []*row[V], time int64) int {
	return sort.Search(len(rows), func(i int) bool { return x.time(rows[i].key) >= time })
}

// search returns the position of a row in the run, or the position to insert it at.
func (run *rowRun[V]) search(rowKey []byte) (i int, found bool) {
	if n := len(run.rows); n == 0 || run.rows[n-1].key < string(rowKey) {
		return n, false
	}
	i = sort.Search(len(run.rows), func(i int) bool { return run.rows[i].key >= string(rowKey) })
	return i, run.rows[i].key == string(rowKey)
}

func (x *recentRows[V]) time(rowKey string) int64 { return timeAt(rowKey, len(rowKey)-x.times) }

func (x *recentRows[V]) timeOf(rowKey []byte) int64 { return readInt64(rowKey[len(rowKey)-x.times:]) }

// timeAt reads a time in a store key.
func timeAt(rowKey string, i int) int64 {
	var time [timeSize]byte
	copy(time[:], rowKey[i:])
	return readInt64(time[:])
}
