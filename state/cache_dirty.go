package state

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"
	"strings"
)

// dirtyRows holds the dirty rows of a store. Adding a row appends it to a list. Rows are sorted only when a caller
// needs the order, and then only rows that were added since the last time:
//
//	pending  q c x                 not sorted yet
//	chunks   [a b d] [e k m p]     sorted; each has limited length, so that an insertion moves few pointers
type dirtyRows[V any] struct {
	pending []*row[V]
	chunks  [][]*row[V]
	n       int
	version uint64 // changes whenever positions in chunks may have changed
}

const maxChunk = 512

func (d *dirtyRows[V]) add(r *row[V]) {
	d.pending = append(d.pending, r)
	r.pending = len(d.pending)
	d.n++
	d.version++
}

// withdraw removes a row that is still pending, and returns false for other rows.
func (d *dirtyRows[V]) withdraw(r *row[V]) bool {
	if r.pending == 0 {
		return false
	}
	last := len(d.pending) - 1
	moved := d.pending[last]
	d.pending[r.pending-1], moved.pending = moved, r.pending
	d.pending[last] = nil
	d.pending = d.pending[:last]
	r.pending, r.dirty = 0, false
	d.n--
	return true
}

// each calls f with every row, in no particular order. f must not add rows.
func (d *dirtyRows[V]) each(f func(*row[V])) {
	for _, chunk := range d.chunks {
		for _, r := range chunk {
			f(r)
		}
	}
	for _, r := range d.pending {
		f(r)
	}
}

// reset replaces all rows by rows that are sorted.
func (d *dirtyRows[V]) reset(sorted []*row[V]) {
	d.noneIsPending()
	d.n = len(sorted)
	d.version++
	d.build(sorted)
}

// order sorts the pending rows into the chunks.
func (d *dirtyRows[V]) order() {
	switch {
	case len(d.pending) == 0:
		return
	case len(d.pending) > d.n/16:
		all := make([]*row[V], 0, d.n)
		for _, chunk := range d.chunks {
			all = append(all, chunk...)
		}
		all = append(all, d.pending...)
		sortRows(all)
		d.build(all)
	default:
		for _, r := range d.pending {
			d.insert(r)
		}
	}
	d.noneIsPending()
	d.version++
}

func (d *dirtyRows[V]) noneIsPending() {
	for _, r := range d.pending {
		r.pending = 0
	}
	clear(d.pending)
	d.pending = d.pending[:0]
}

// sortRows sorts by key. Nearly all comparisons need only the first bytes in which keys differ. They are kept side by
// side, while the rows are scattered in memory.
func sortRows[V any](rows []*row[V]) {
	type headed struct {
		head uint64
		row  *row[V]
	}
	shared := rows[0].key
	for _, r := range rows {
		n := 0
		for n < len(r.key) && n < len(shared) && r.key[n] == shared[n] {
			n++
		}
		shared = shared[:n]
	}
	heads := make([]headed, len(rows))
	for i, r := range rows {
		var head [8]byte
		copy(head[:], r.key[len(shared):])
		heads[i] = headed{head: binary.BigEndian.Uint64(head[:]), row: r}
	}
	slices.SortFunc(heads, func(a, b headed) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return strings.Compare(a.row.key, b.row.key)
	})
	for i, h := range heads {
		rows[i] = h.row
	}
}

func (d *dirtyRows[V]) build(sorted []*row[V]) {
	d.chunks = d.chunks[:0]
	for chunk := range slices.Chunk(sorted, maxChunk/2) {
		d.chunks = append(d.chunks, chunk)
	}
}

func (d *dirtyRows[V]) insert(r *row[V]) {
	c, i := d.find(r.key)
	if c == len(d.chunks) {
		// The row sorts after all others, so it goes to the last chunk. order has built at least one.
		c--
		i = len(d.chunks[c])
	}
	chunk := slices.Insert(d.chunks[c], i, r)
	d.chunks[c] = chunk
	if len(chunk) >= maxChunk {
		half := len(chunk) / 2
		d.chunks[c] = chunk[:half:half]
		d.chunks = slices.Insert(d.chunks, c+1, chunk[half:])
	}
}

// find returns the position of the first sorted row that is not below key, or (len(chunks), 0).
func (d *dirtyRows[V]) find(key string) (chunk, pos int) {
	chunk = sort.Search(len(d.chunks), func(i int) bool {
		c := d.chunks[i]
		return c[len(c)-1].key >= key
	})
	if chunk == len(d.chunks) {
		return chunk, 0
	}
	rows := d.chunks[chunk]
	return chunk, sort.Search(len(rows), func(i int) bool { return rows[i].key >= key })
}

// cursor iterates over the dirty rows in order. Rows may be added during the iteration: the cursor finds its position
// again by key.
type cursor[V any] struct {
	rows    *dirtyRows[V]
	floor   []byte // rows below it are skipped
	above   bool   // floor itself is skipped, too
	hi      []byte // nil: no upper bound
	chunk   int
	pos     int
	version uint64
	placed  bool
}

func (d *dirtyRows[V]) cursor(lo, hi []byte) cursor[V] {
	return cursor[V]{rows: d, floor: append([]byte{}, lo...), hi: hi}
}

// peek returns the row at the cursor, nil at the end.
func (c *cursor[V]) peek() *row[V] {
	if !c.placed || c.version != c.rows.version {
		c.rows.order()
		c.chunk, c.pos = c.rows.find(string(c.floor))
		c.version, c.placed = c.rows.version, true
		if r := c.at(); r != nil && c.above && r.key == string(c.floor) {
			c.pos++
		}
	}
	r := c.at()
	if r == nil || c.hi != nil && r.key >= string(c.hi) {
		return nil
	}
	return r
}

func (c *cursor[V]) at() *row[V] {
	if c.chunk < len(c.rows.chunks) && c.pos == len(c.rows.chunks[c.chunk]) {
		c.chunk, c.pos = c.chunk+1, 0
	}
	if c.chunk == len(c.rows.chunks) {
		return nil
	}
	return c.rows.chunks[c.chunk][c.pos]
}

// next moves past the row r that peek returned.
func (c *cursor[V]) next(r *row[V]) {
	c.pos++
	c.floor, c.above = append(c.floor[:0], r.key...), true
}

// passed moves the cursor past key, which is not a dirty row. Rows that are added below key later are not yielded.
func (c *cursor[V]) passed(key []byte) {
	c.floor, c.above = append(c.floor[:0], key...), true
}
