package state

import (
	"math"
	"slices"
	"sort"
)

// recentRows knows which rows there are of the keys that are used, by the times in their store keys, so that to look for
// those that are near stream time scans nothing. It holds no rows itself, but finds those that are cached:
//
//	              horizon
//	LH    │ ▪   ▪    │   ▪  ▪      a run: all rows of LH that have its time or a later one
//	BA               │     ▪       a run that begins at the horizon
//	KL               │             no run: no rows from the horizon on
//
// All rows with a time of horizon or above are cached, whatever their key. A row that is evicted ends what is known up to its
// time: of its key, and of the keys without a run. A look behind that scans what is missing, and the run goes back that far.
// After a rollback nothing is known.
//
// Times are those of the time order of the store.
type recentRows[V any] struct {
	rows       *cache[V]
	times      int                   // bytes at the end of store keys that hold times; the first 8 are the time
	runs       map[string]*rowRun[V] // nil as long as nobody has looked for rows
	last       *rowRun[V]            // the run used last: it may be empty, and is then perhaps not in runs
	loading    rowRun[V]             // rows before the run that is looked behind
	cachedFrom int64                 // nothing is known if it is unknownTime
}

// rowRun holds all rows of a key that have a time of from or above, in the order of their store keys.
type rowRun[V any] struct {
	key    string // without times
	from   int64  // nothing is known if it is unknownTime
	rows   []*row[V]
	listed bool // in recentRows.runs
	broken bool // a row was evicted while the run was loaded
}

const (
	// unknownTime is the end of time: what is known from there on is of no use.
	unknownTime = math.MaxInt64
	// keyRunOverhead is what a run takes besides its key, and rowInRun what each row does in it.
	keyRunOverhead = 128
	rowInRun       = 16
	// maxRowsAhead is how many rows behind those that are looked for may be read to know all that follow.
	maxRowsAhead = 128
)

// newRecentRows gives the rows of a store runs by the times at the end of their store keys.
func newRecentRows[V any](rows *cache[V], times int) *recentRows[V] {
	x := &recentRows[V]{rows: rows, times: times, cachedFrom: unknownTime}
	rows.recent = x
	return x
}

// find returns the rows of a key from a time on, valid until the store changes, and false if those before another time have to
// be scanned.
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
		return nil, false, nil // far behind: not worth to know all in between
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

// use says that a run is the one used last.
func (x *recentRows[V]) use(run *rowRun[V]) {
	if last := x.last; last != nil && last.listed && len(last.rows) == 0 {
		x.unlist(last)
	}
	x.last = run
}

// begin finds the horizon: behind all rows of the partition and of the cache.
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

// extend reads the rows before a run, from a time on, and returns the run, which is new if there was none. It returns nil
// if there is no memory for them, or if the run would take more of them than are asked for.
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

// put makes value the value of a row of a key.
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
		return // to make room ended what was known
	}
	i, _ := run.search(rowKey)
	x.link(run, i, r)
	x.list(run)
}

// remove removes a row of a key, which need not exist and is not expected to come back.
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

// knows reports whether it is known which rows a key has at the time of a row and later, and returns their run. There is
// none if there are no such rows.
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

// removed says that a row of a run does not exist any more.
func (x *recentRows[V]) removed(r *row[V]) {
	i := x.firstFrom(r.run.rows, x.time(r.key))
	for r.run.rows[i] != r {
		i++
	}
	x.unlink(r.run, i, i+1)
}

// evicted says that a row of a run is not cached any more.
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

// forget forgets everything: other rows exist now.
func (x *recentRows[V]) forget() {
	x.last = nil
	for _, run := range x.runs {
		x.clear(run)
	}
	x.runs, x.cachedFrom = nil, unknownTime
}

func (x *recentRows[V]) clear(run *rowRun[V]) { x.unlink(run, 0, len(run.rows)) }

// link puts a row into a run.
func (x *recentRows[V]) link(run *rowRun[V], i int, r *row[V]) {
	run.rows = slices.Insert(run.rows, i, r)
	r.run = run
	x.rows.account.addUsed(rowInRun)
}

// unlink takes rows out of a run. One that is empty goes, unless it is the one that is used.
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

// list lists a run, unless it is empty.
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

// search returns the position of a row in the run, or where it would be.
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
