package state

import (
	"math"
	"slices"
)

// latestRecords holds the latest records of a join buffer in memory, decoded, so that lookups do not read the
// partition. It has all records with a timestamp of from or later, including uncommitted ones.
//
//	   runs                     slices of time, each with the runs that have records in it
//	LH  ▪ ▪▪    ▪               │ LH BA │ LH │ BA │ LH │
//	BA   ▪    ▪                 from
//	                            └─ the oldest slice goes first, when its time is over or memory is short
//
// The records are a second copy of the partition's rows. The cache of the buffer keeps rows only until they are
// committed.
type latestRecords[V any] struct {
	runs   map[string]*joinRun[V]
	from   int64
	width  int64 // of a slice, in milliseconds
	slices []joinSlice[V]
	fresh  []*joinRun[V] // runs with uncommitted records
	used   int64         // bytes charged to the account of the cache
	rows   *cache[V]
	loaded bool // the records of the partition are in memory
}

// joinRun holds the records of one key, in the order of their store keys.
type joinRun[V any] struct {
	key     string
	records []joinRecord[V]
	slice   int64 // number of the slice that listed the run last
	isFresh bool
}

type joinRecord[V any] struct {
	timestamp, seq int64
	value          V
	cost           int64 // bytes charged for it
}

// joinSlice lists the runs with records in a slice of time: n*width <= timestamp < (n+1)*width.
type joinSlice[V any] struct {
	n    int64
	runs []*joinRun[V]
}

const (
	slicesOfRetention = 16
	// widthForever is the width of slices, in milliseconds, if records are kept forever.
	widthForever = 3_600_000
	// runOverhead and recordOverhead are the memory of a run and of a record besides key and value.
	// TestBudget_matchesHeap measures them.
	runOverhead    = 88
	recordOverhead = 48
)

func newLatestRecords[V any](rows *cache[V]) *latestRecords[V] {
	width := int64(widthForever)
	if retention := rows.spec.Retention.Milliseconds(); retention > 0 {
		width = max(1, retention/slicesOfRetention)
	}
	return &latestRecords[V]{runs: map[string]*joinRun[V]{}, from: math.MinInt64, width: width, rows: rows}
}

// holds reports whether all records with from <= timestamp <= to are in memory. The end of time belongs to no slice.
func (x *latestRecords[V]) holds(from, to int64) bool { return from >= x.from && to < math.MaxInt64 }

// between returns the records of a key with from <= timestamp <= to.
func (x *latestRecords[V]) between(key []byte, from, to int64) []joinRecord[V] {
	run := x.runs[string(key)]
	if run == nil {
		return nil
	}
	return run.records[run.firstFrom(from, math.MinInt64):run.firstFrom(to, math.MaxInt64)]
}

// firstFrom returns the position of the first record that is not before that timestamp and number.
func (r *joinRun[V]) firstFrom(timestamp, seq int64) int {
	if n := len(r.records); n == 0 || r.records[n-1].before(timestamp, seq) {
		return n
	}
	low, high := 0, len(r.records)
	for low < high {
		middle := int(uint(low+high) / 2)
		if r.records[middle].before(timestamp, seq) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

func (r *joinRecord[V]) before(timestamp, seq int64) bool {
	return r.timestamp < timestamp || r.timestamp == timestamp && r.seq < seq
}

// add adds a record, unless memory is short or the record is before the records in memory.
func (x *latestRecords[V]) add(key []byte, record joinRecord[V]) *joinRun[V] {
	record.cost = recordOverhead + x.rows.valueSize
	if n := x.rows.account.mustEvict(runOverhead + int64(len(key)) + record.cost); n > 0 {
		x.release(n)
	}
	if record.timestamp < x.from || record.timestamp == math.MaxInt64 {
		return nil
	}
	run := x.runs[string(key)]
	if run == nil {
		run = &joinRun[V]{key: string(key), slice: math.MinInt64}
		x.runs[run.key] = run
		x.charge(runOverhead + int64(len(key)))
	}
	x.charge(record.cost)
	run.records = slices.Insert(run.records, run.firstFrom(record.timestamp, record.seq), record)
	x.list(run, floorDiv(record.timestamp, x.width))
	return run
}

// put adds an uncommitted record.
func (x *latestRecords[V]) put(key []byte, record joinRecord[V]) {
	if run := x.add(key, record); run != nil && !run.isFresh {
		run.isFresh = true
		x.fresh = append(x.fresh, run)
	}
}

// load adds the records of the partition from a time on, before any other record is added. If memory is too short for
// all of them, it adds none, and memory holds only records that come later.
func (x *latestRecords[V]) load(since int64) error {
	x.loaded, x.from = true, since
	var key []byte
	for r, err := range x.rows.scan([]byte{0}, nil) {
		if err != nil {
			return err
		}
		record := joinRecord[V]{value: r.value}
		if key, record.timestamp, record.seq, err = SplitJoinKey(key[:0], r.key); err != nil {
			return x.rows.failed("scan", r.key, err)
		}
		if record.timestamp < since {
			continue
		}
		if x.rows.account.mustEvict(runOverhead+int64(len(key))+recordOverhead+x.rows.valueSize) > 0 {
			return x.skip()
		}
		x.add(key, record)
	}
	return nil
}

// skip forgets the loaded records and starts after the last record of the partition.
func (x *latestRecords[V]) skip() error {
	x.release(math.MaxInt64)
	end, err := timeOrderEnd(x.rows.part, x.rows.spec.Name)
	x.from = max(x.from, end)
	return err
}

// list lists a run in a slice.
func (x *latestRecords[V]) list(run *joinRun[V], slice int64) {
	if run.slice == slice {
		return
	}
	run.slice = slice
	i := len(x.slices)
	for i > 0 && x.slices[i-1].n > slice {
		i--
	}
	if i == 0 || x.slices[i-1].n != slice {
		x.slices = slices.Insert(x.slices, i, joinSlice[V]{n: slice})
		i++
	}
	x.slices[i-1].runs = append(x.slices[i-1].runs, run)
}

// trim forgets slices that end before the given time.
func (x *latestRecords[V]) trim(before int64) {
	for len(x.slices) > 0 && x.end(x.slices[0].n) <= before {
		x.dropSlice()
	}
}

// end returns the first time after a slice.
func (x *latestRecords[V]) end(slice int64) int64 {
	if slice >= math.MaxInt64/x.width {
		return math.MaxInt64
	}
	return (slice + 1) * x.width
}

// release forgets the oldest slices until it has freed n bytes or none are left, and returns how many bytes it freed.
func (x *latestRecords[V]) release(n int64) int64 {
	used := x.used
	for len(x.slices) > 0 && used-x.used < n {
		x.dropSlice()
	}
	return used - x.used
}

// dropSlice forgets the oldest slice.
func (x *latestRecords[V]) dropSlice() {
	slice := x.slices[0]
	x.slices = slices.Delete(x.slices, 0, 1)
	x.from = max(x.from, x.end(slice.n))
	for _, run := range slice.runs {
		x.forget(run, 0, run.firstFrom(x.from, math.MinInt64))
	}
}

// forget forgets the records of a run from one position up to another, and the run if none are left.
func (x *latestRecords[V]) forget(run *joinRun[V], from, to int) {
	for i := from; i < to; i++ {
		x.charge(-run.records[i].cost)
	}
	run.records = slices.Delete(run.records, from, to)
	if len(run.records) == 0 && x.runs[run.key] == run {
		delete(x.runs, run.key)
		x.charge(-runOverhead - int64(len(run.key)))
	}
}

// commit marks all records as committed.
func (x *latestRecords[V]) commit() {
	for _, run := range x.fresh {
		run.isFresh = false
	}
	clear(x.fresh)
	x.fresh = x.fresh[:0]
}

// rollback forgets the uncommitted records: their numbers are next or higher.
func (x *latestRecords[V]) rollback(next int64) {
	for _, run := range x.fresh {
		for i, r := range slices.Backward(run.records) {
			if r.seq >= next {
				x.forget(run, i, i+1)
			}
		}
	}
	x.commit()
}

func (x *latestRecords[V]) charge(bytes int64) {
	x.used += bytes
	x.rows.account.addUsed(bytes)
}

// floorDiv returns the number of the slice of time that contains time.
func floorDiv(time, width int64) int64 {
	n := time / width
	if time%width < 0 {
		n--
	}
	return n
}
