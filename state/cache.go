package state

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/invariants"
)

// cache is the write-back cache that all typed stores are built on: decoded rows by encoded store key, above a
// partition.
//
//	          miss: read                       Put, Delete
//	(nothing) ───────────▶ clean ───────────────────────────▶ dirty ──Flush──▶ dirty, flushed ──┐
//	    ▲                    │ ▲                                ▲                   │  Put again  │
//	    │      evicted       │ │                                └───────────────────┘             │
//	    └────────────────────┘ └──────────────────────────────── Committed ◀──────────────────────┘
//	    ▲
//	    └───── Rollback of dirty rows
//
// A row that does not exist is cached, too: it is clean, and present is false.
type cache[V any] struct {
	guard invariants.Guard // ST7
	spec  Spec
	part  Partition
	codec codecs.Codec[V]
	// account is the store's part of the budget.
	account account
	counts  counts
	// localKey appends the key of the local row that goes with a row. It appends nothing for a row without a local row,
	// and is nil in stores without a time order.
	localKey func(dst, storeKey []byte, timestamp int64) []byte
	// localMoves says that the key of a local row contains the timestamp of its row, so that a row whose timestamp
	// changes needs a new local row.
	localMoves bool
	// onDirty is called with each row that becomes dirty, unless it is nil.
	onDirty func(*row[V])
	// recent finds rows by the times in their keys. It is nil in stores that are not searched by time.
	recent *recentRows[V]
	// overhead is the memory of a row besides its key and value, in bytes.
	overhead int64
	// release frees memory that the store holds besides its rows: at least the given number of bytes, if it can. It
	// returns how many bytes it freed. It is nil in stores without such memory.
	release func(bytes int64) int64

	rows  map[string]*row[V]
	last  *row[V] // the row looked up last, for the Put that follows a Get of the same key
	ring  []*row[V]
	hand  int // position in ring at which eviction continues
	dirty dirtyRows[V]

	rowKey    []byte // the row prefix of the store, then scratch
	prefixLen int
	value     []byte // scratch for encoded rows
	localBuf  []byte // scratch for keys of local rows
	valueSize int64  // average size of recently encoded rows, to charge rows that were not encoded yet
}

// row is one cached row.
type row[V any] struct {
	key       string // store key
	value     V
	timestamp int64
	localTime int64 // timestamp of the committed local row; valid if localMoves is set and committed is exists
	cost      int64 // bytes charged to the account
	slot      int   // position in cache.ring
	pending   int   // position in dirtyRows.pending plus 1; 0 if the row is not there
	run       *rowRun[V]

	present    bool      // false: deleted, or never put
	committed  existence // whether the partition has the row
	flushed    existence // what the last Flush wrote; unknown if it did not write the row
	dirty      bool
	changed    bool // since the last Flush; valid for dirty rows only
	referenced bool // since the eviction hand passed
	transient  bool // to be dropped once it is clean
}

// existence says whether a row exists in the partition.
type existence uint8

const (
	unknown existence = iota
	absent
	exists
)

func existenceOf(present bool) existence {
	if present {
		return exists
	}
	return absent
}

const (
	// rowOverhead is the memory of a row besides its key and value: the row, its slots in the map, the ring and the
	// list of dirty rows. TestBudget_matchesHeap measures it.
	rowOverhead = 144
	// firstValueSize is charged for each value until the first one has been encoded.
	firstValueSize = 64
	// maxEvictSteps bounds how many rows one insertion examines, even when most rows are dirty.
	maxEvictSteps = 128
)

func newCache[V any](spec Spec, part Partition, budget *Budget, codec codecs.Codec[V]) *cache[V] {
	if budget == nil {
		budget = NewBudget(0)
	}
	prefix := AppendRowKey(nil, spec.Name, nil)
	return &cache[V]{
		account:   newAccount(budget),
		spec:      spec,
		part:      part,
		codec:     codec,
		rows:      map[string]*row[V]{},
		rowKey:    prefix,
		prefixLen: len(prefix),
		valueSize: firstValueSize,
		overhead:  rowOverhead,
	}
}

// get returns the row of key, from the cache or the partition.
func (c *cache[V]) get(key []byte) (*row[V], error) {
	if invariants.Enabled {
		c.guard.Enter("ST7", c.spec.Name)
		defer c.guard.Exit()
	}
	c.counts.gets++
	if r := c.lookup(key); r != nil {
		return r, nil
	}
	c.counts.misses++
	data, ok, err := c.part.Get(c.value[:0], c.partitionKey(key))
	if err != nil {
		return nil, c.failed("read", key, err)
	}
	c.value = data[:0]
	r := &row[V]{committed: existenceOf(ok), present: ok}
	if ok {
		if r.timestamp, r.value, err = decodeRow(c.codec, data); err != nil {
			return nil, c.failed("read", key, err)
		}
		r.localTime = r.timestamp
	}
	c.insert(r, key, int64(len(data)))
	return r, nil
}

// put sets the value of key without reading the old one, and returns the row.
func (c *cache[V]) put(key []byte, value V, timestamp int64) *row[V] {
	if invariants.Enabled {
		c.guard.Enter("ST7", c.spec.Name)
		defer c.guard.Exit()
	}
	c.counts.puts++
	r := c.lookup(key)
	if r == nil {
		r = &row[V]{}
		c.insert(r, key, c.valueSize)
	}
	c.set(r, value, timestamp)
	return r
}

// set sets the value of a cached row.
func (c *cache[V]) set(r *row[V], value V, timestamp int64) {
	r.value, r.timestamp, r.present, r.transient = value, timestamp, true, false
	c.touch(r)
}

// putNew is put for a key that the partition never had.
func (c *cache[V]) putNew(key []byte, value V, timestamp int64) *row[V] {
	if c.lookup(key) == nil {
		c.insert(&row[V]{committed: absent}, key, c.valueSize)
	}
	return c.put(key, value, timestamp)
}

// delete removes key without reading its value.
func (c *cache[V]) delete(key []byte) {
	if invariants.Enabled {
		c.guard.Enter("ST7", c.spec.Name)
		defer c.guard.Exit()
	}
	c.counts.deletes++
	r := c.lookup(key)
	if r == nil {
		r = &row[V]{}
		c.insert(r, key, 0)
	}
	c.remove(r)
}

// remove deletes a cached row.
func (c *cache[V]) remove(r *row[V]) {
	if !r.dirty && r.committed == absent {
		return
	}
	if r.run != nil {
		c.recent.removed(r)
	}
	var zero V
	r.value, r.timestamp, r.present = zero, 0, false
	c.touch(r)
}

// lookup returns the cached row of key, nil if there is none.
func (c *cache[V]) lookup(key []byte) *row[V] {
	if r := c.last; r != nil && r.key == string(key) {
		return r
	}
	r := c.rows[string(key)]
	if r != nil {
		r.referenced = true
		c.last = r
	}
	return r
}

// insert makes room and caches a new, clean row.
func (c *cache[V]) insert(r *row[V], key []byte, size int64) {
	r.key = string(key)
	if invariants.Enabled && c.rows[r.key] != nil {
		invariants.Violated("ST2", "store %q: row %q is cached twice", c.spec.Name, r.key)
	}
	r.cost = c.overhead + int64(len(key)) + size
	if n := c.account.mustEvict(r.cost); n > 0 {
		c.evict(n)
	}
	r.slot = len(c.ring)
	c.ring = append(c.ring, r)
	c.rows[r.key] = r
	c.last = r
	c.account.addUsed(r.cost)
}

// touch marks r as changed.
func (c *cache[V]) touch(r *row[V]) {
	r.changed = true
	if !r.dirty {
		r.dirty = true
		c.dirty.add(r)
		c.account.addDirty(r.cost)
		if c.onDirty != nil {
			c.onDirty(r)
		}
	}
}

// evict drops about n bytes of clean rows by the CLOCK algorithm: a row that was used since the hand last passed stays
// for another round.
func (c *cache[V]) evict(n int64) {
	for range maxEvictSteps {
		if n <= 0 || len(c.ring) == c.dirty.n {
			return
		}
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		r := c.ring[c.hand]
		switch {
		case r.dirty:
			c.hand++
		case r.referenced:
			r.referenced = false
			c.hand++
		default:
			n -= r.cost
			// The newest row moves to this position and the hand moves on, so it reaches that row last.
			c.forget(r)
			c.hand++
		}
	}
}

// forget removes a row from the cache, clean or dirty. It leaves the list of dirty rows to the caller.
func (c *cache[V]) forget(r *row[V]) {
	delete(c.rows, r.key)
	last := len(c.ring) - 1
	moved := c.ring[last]
	c.ring[r.slot] = moved
	moved.slot = r.slot
	c.ring[last] = nil
	c.ring = c.ring[:last]
	if c.last == r {
		c.last = nil
	}
	c.account.addUsed(-r.cost)
	if r.run != nil {
		c.recent.evicted(r)
	}
}

// withdraw forgets a deleted dirty row that the partition never had.
func (c *cache[V]) withdraw(r *row[V]) {
	// endedRows, which sets onDirty, holds pointers to dirty rows.
	if r.flushed == unknown && c.onDirty == nil && c.dirty.withdraw(r) {
		c.account.addDirty(-r.cost)
		c.forget(r)
	}
}

// evictAll evicts n bytes, in several rounds if necessary.
func (c *cache[V]) evictAll(n int64) {
	floor := c.account.used - n
	if c.release != nil {
		c.release(n)
	}
	for range 2*len(c.ring)/maxEvictSteps + 2 {
		if c.account.used <= floor {
			return
		}
		c.evict(c.account.used - floor)
	}
}

// close returns the memory to the budget. Closing again does nothing.
func (c *cache[V]) close() {
	if c.rows == nil {
		return
	}
	if invariants.Enabled {
		c.guard.Enter("ST7", c.spec.Name)
		defer c.guard.Exit()
	}
	c.account.close()
	c.rows, c.ring, c.last = nil, nil, nil
	c.dirty = dirtyRows[V]{}
}

func (c *cache[V]) partitionKey(key []byte) []byte {
	c.rowKey = append(c.rowKey[:c.prefixLen], key...)
	return c.rowKey
}

func (c *cache[V]) failed(verb string, key []byte, err error) error {
	return fmt.Errorf("%s store %q: key %q: %w", verb, c.spec.Name, key, err)
}
