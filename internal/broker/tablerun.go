package broker

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/maphash"
	"iter"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
)

// Run is a stretch of a table's partition, merged: the last record of each key, and the position after the stretch. A
// changelog holds many values of one key until the broker compacts it, and a run writes each row once. A later record
// of a key replaces an earlier one, regardless of the records between them, so a run applied as a whole leaves the same
// rows as its records applied one by one.
//
// A Run belongs to one goroutine at a time. It copies keys and values, since a record of franz-go keeps the memory of
// its whole fetch alive. Its rows have no pointers, so that the garbage collector need not scan them.
type Run struct {
	rows    []runRow
	order   []runKey // the rows in order, after sort
	slots   []uint32 // hash table: 1 + index of a row; 0 is free
	seed    maphash.Seed
	chunks  [][]byte // keys and values
	chunk   int      // the chunk that is being filled
	kept    int      // bytes in all chunks
	next    int64
	records int
	bytes   int64
	free    chan<- *Run // receives it for reuse after Release

	stamped bool // values begin with the timestamps of their records
	scratch []byte
}

// runRow finds a key and its value in the chunks.
type runRow struct {
	hash        uint32
	key, keyLen uint32
	value       uint32
	valueLen    int32 // noValue for a tombstone
	valueRoom   int32
}

const noValue = -1

// runKey is a row to sort. first are the first bytes of its key after the prefix that all keys share; few comparisons
// need more of a key.
type runKey struct {
	first uint64
	row   uint32
}

const (
	minSlots = 64
	// A place in the chunks is the number of the chunk and, in the low chunkBits, the offset in it. Only the first
	// value or key of a chunk may be larger than chunkSize.
	chunkBits = 20
	chunkSize = 1 << chunkBits
	minChunk  = 4 << 10
	// rowOverhead is the memory of a row beside its bytes: the runRow, its runKey and its share of the slots.
	rowOverhead = 24 + 16 + 8
)

func newRun(free chan<- *Run) *Run { return &Run{seed: maphash.MakeSeed(), free: free} }

// Rows yields the rows in the order of their keys. A nil value deletes the row. The slices belong to the run and are
// valid until it is released.
func (r *Run) Rows() iter.Seq2[[]byte, []byte] {
	r.sort()
	return func(yield func(key, value []byte) bool) {
		for _, k := range r.order {
			row := &r.rows[k.row]
			if !yield(r.key(row), r.value(row)) {
				return
			}
		}
	}
}

// Len returns the number of rows.
func (r *Run) Len() int { return len(r.rows) }

// Records returns how many records were read, markers not included.
func (r *Run) Records() int { return r.records }

// Bytes returns the size of the keys and values of these records.
func (r *Run) Bytes() int64 { return r.bytes }

// Last returns the last offset that the run reflects, which may be the offset of a marker.
func (r *Run) Last() int64 { return r.next - 1 }

// Release gives the run back for reuse. The caller must not use it afterwards.
func (r *Run) Release() {
	r.rows, r.order = r.rows[:0], r.order[:0]
	clear(r.slots)
	for i := range r.chunks {
		r.chunks[i] = r.chunks[i][:0]
	}
	r.chunk, r.kept, r.next, r.records, r.bytes = 0, 0, 0, 0, 0
	select {
	case r.free <- r: // never, if there is no such channel
	default:
	}
}

// size returns the memory in use.
func (r *Run) size() int { return r.kept + rowOverhead*len(r.rows) }

// memory returns the memory that is allocated.
func (r *Run) memory() int {
	n := rowOverhead * cap(r.rows)
	for _, chunk := range r.chunks {
		n += cap(chunk)
	}
	return n
}

// add merges the records of a batch into the run.
func (r *Run) add(batch Batch) {
	r.next = batch.Next
	r.records += len(batch.Records)
	for _, rec := range batch.Records {
		r.bytes += int64(len(rec.Key) + len(rec.Value))
		switch {
		case r.stamped && rec.Key != nil:
			r.set(rec.Key, r.stamp(rec))
		case !r.stamped && len(rec.Key) > 0: // a row has a key
			r.set(rec.Key, rec.Value)
		}
	}
}

// stamp returns the value of a row for a record of a foreign topic: the record's timestamp and value.
func (r *Run) stamp(rec *kgo.Record) []byte {
	if rec.Value == nil {
		return nil
	}
	r.scratch = state.AppendRowValue(r.scratch[:0], RecordTime(rec), rec.Value)
	return r.scratch
}

func (r *Run) set(key, value []byte) {
	if 4*len(r.rows) >= 3*len(r.slots) {
		r.grow()
	}
	hash := uint32(maphash.Bytes(r.seed, key))
	mask := uint32(len(r.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		slot := r.slots[at]
		if slot == 0 {
			row := runRow{hash: hash, key: r.keep(key), keyLen: uint32(len(key))}
			r.setValue(&row, value)
			r.rows = append(r.rows, row)
			r.slots[at] = uint32(len(r.rows))
			return
		}
		if row := &r.rows[slot-1]; row.hash == hash && bytes.Equal(r.key(row), key) {
			r.setValue(row, value)
			return
		}
	}
}

func (r *Run) setValue(row *runRow, value []byte) {
	switch {
	case value == nil:
		row.valueLen = noValue
		return
	case len(value) <= int(row.valueRoom):
		copy(r.at(row.value, len(value)), value)
	default:
		row.value, row.valueRoom = r.keep(value), int32(len(value))
	}
	row.valueLen = int32(len(value))
}

func (r *Run) key(row *runRow) []byte { return r.at(row.key, int(row.keyLen)) }

// value returns the row's value. Empty is not nil.
func (r *Run) value(row *runRow) []byte {
	switch row.valueLen {
	case noValue:
		return nil
	case 0:
		return []byte{}
	default:
		return r.at(row.value, int(row.valueLen))
	}
}

func (r *Run) at(place uint32, n int) []byte {
	offset := int(place & (chunkSize - 1))
	return r.chunks[place>>chunkBits][offset : offset+n : offset+n]
}

// keep copies b into the chunks and returns its place.
func (r *Run) keep(b []byte) uint32 {
	for r.chunk < len(r.chunks) {
		if used := len(r.chunks[r.chunk]); used+len(b) <= cap(r.chunks[r.chunk]) && used < chunkSize {
			break
		}
		r.chunk++
	}
	if r.chunk == len(r.chunks) {
		size := min(minChunk<<min(r.chunk, chunkBits), chunkSize)
		r.chunks = append(r.chunks, make([]byte, 0, max(size, len(b))))
	}
	chunk := r.chunks[r.chunk]
	r.chunks[r.chunk] = append(chunk, b...)
	r.kept += len(b)
	return uint32(r.chunk<<chunkBits | len(chunk))
}

func (r *Run) grow() {
	r.slots = make([]uint32, max(minSlots, 2*len(r.slots)))
	mask := uint32(len(r.slots) - 1)
	for i := range r.rows {
		at := r.rows[i].hash & mask
		for r.slots[at] != 0 {
			at = (at + 1) & mask
		}
		r.slots[at] = uint32(i + 1)
	}
}

func (r *Run) sort() {
	if len(r.order) == len(r.rows) {
		return // nothing to sort, or sorted before
	}
	shared := r.sharedPrefix()
	r.order = slices.Grow(r.order, len(r.rows))
	for i := range r.rows {
		r.order = append(r.order, runKey{firstBytes(r.key(&r.rows[i])[shared:]), uint32(i)})
	}
	slices.SortFunc(r.order, func(a, b runKey) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return bytes.Compare(r.key(&r.rows[a.row]), r.key(&r.rows[b.row]))
	})
}

// sharedPrefix returns how many bytes all keys begin with.
func (r *Run) sharedPrefix() int {
	shared := r.key(&r.rows[0])
	for i := range r.rows {
		key := r.key(&r.rows[i])
		n := min(len(shared), len(key))
		for at := range n {
			if shared[at] != key[at] {
				n = at
				break
			}
		}
		shared = shared[:n]
	}
	return len(shared)
}

// firstBytes returns the first eight bytes of b as a number. Where two of them differ, they compare as the bytes do.
func firstBytes(b []byte) uint64 {
	if len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	var padded [8]byte
	copy(padded[:], b)
	return binary.BigEndian.Uint64(padded[:])
}
