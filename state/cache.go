package state

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/invariants"
)

// cache is what the typed stores have in common: rows by encoded store key, decoded, above a partition.
//
//	          miss: read                       Put, Delete
//	(nothing) ───────────▶ clean ───────────────────────────▶ dirty ──Flush──▶ dirty, flushed ──┐
//	    ▲                    │ ▲                                ▲                   │  Put again  │
//	    │      evicted       │ │                                └───────────────────┘             │
//	    └────────────────────┘ └──────────────────────────────── Committed ◀──────────────────────┘
//	    ▲
//	    └───── Rollback of dirty rows
//
// Rows that do not exist are cached as well: a clean row with present false.
type cache[V any] struct {
	guard invariants.Guard // ST7
	spec  Spec
	part  Partition
	codec codecs.Codec[V]
	// account is the store's part of the budget.
	account account
	counts  counts
	// localKey appends the key of the local row that goes with a row; nil for stores without a time order, and nothing
	// appended for rows without.
	localKey func(dst, storeKey []byte, timestamp int64) []byte
	// localMoves says that local rows hold the timestamp of the row: a row whose timestamp changes needs another local row.
	localMoves bool
	// onDirty hears of each row that becomes dirty; nil if nobody wants to.
	onDirty func(*row[V])
	// recent finds rows by their times; nil for stores without times in their keys, and those in which nobody looks for them.
	recent *recentRows[V]
	// overhead is what a row takes besides its key and value, in bytes.
	overhead int64
	// release gives back memory that the store takes besides its rows, at least so many bytes if there are, and returns how
	// many; nil for stores without.
	release func(bytes int64) int64

	rows  map[string]*row[V]
	last  *row[V] // the row looked up last: a Put after a Get of the same key finds it here
	ring  []*row[V]
	hand  int // where the eviction looks next in ring
	dirty dirtyRows[V]

	rowKey    []byte // the row prefix of the store, then scratch
	prefixLen int
	value     []byte // scratch for encoded rows
	localBuf  []byte // scratch for keys of local rows
	valueSize int64  // size of the rows encoded lately, to charge rows that never were
}

// row is one cached row.
type row[V any] struct {
	key       string // store key
	value     V
	timestamp int64
	localTime int64 // the timestamp that the local row has if committed is exists; only if localMoves
	cost      int64 // bytes charged to the account
	slot      int   // position in cache.ring
	pending   int   // position in dirtyRows.pending, from 1; 0 if it is not there
	run       *rowRun[V]

	present    bool      // false: deleted, or never there
	committed  existence // what the partition holds
	flushed    existence // what the last Flush wrote, unknown if it did not
	dirty      bool
	changed    bool // since the last Flush; only dirty rows
	referenced bool // since the eviction hand came by
	transient  bool // not worth keeping once it is clean
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
	// rowOverhead is what a row takes besides its key and value: the row, its slots in the map, the ring and the
	// list of dirty rows. TestBudget_matchesHeap measures it.
	rowOverhead = 144
	// firstValueSize is charged for a value before any was encoded.
	firstValueSize = 64
	// maxEvictSteps bounds the rows that one insertion looks at, also when most rows are dirty.
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

// put makes value the value of key without reading what was there, and returns the row.
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

// set makes value the value of a cached row.
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

// delete removes key without reading what was there.
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

// insert caches a new, clean row and makes room for it first.
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

// evict drops about n bytes of clean rows by the CLOCK algorithm: rows used since the hand came by last get another
// round.
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
			// The newest row takes its place, behind the hand: the last one that the hand will come to.
			c.forget(r)
			c.hand++
		}
	}
}

// forget removes a row from the cache, whatever its state; the list of dirty rows is the caller's.
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

// withdraw forgets a dirty row that does not exist, and of which the partition has never heard.
func (c *cache[V]) withdraw(r *row[V]) {
	// The order of time holds dirty rows, too.
	if r.flushed == unknown && c.onDirty == nil && c.dirty.withdraw(r) {
		c.account.addDirty(-r.cost)
		c.forget(r)
	}
}

// evictAll evicts n bytes even if it takes several rounds.
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

// close gives the memory back; closing again does nothing.
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
