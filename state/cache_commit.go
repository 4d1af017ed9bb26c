package state

import (
	"fmt"

	"github.com/seed84377926/millrace/internal/invariants"
)

// This file has what a cache does in a commit: it writes dirty rows to a batch, and then makes them clean or forgets
// them.

// flush appends the dirty rows to b in key order, each followed by the change of its local row. It fails if a codec
// panics.
func (c *cache[V]) flush(b *Batch) (err error) {
	if invariants.Enabled {
		c.guard.Enter("ST7", c.spec.Name)
		defer c.guard.Exit()
	}
	c.dirty.order()
	var at *row[V]
	defer func() {
		if v := recover(); v != nil {
			err = c.panicked(at, v)
		}
	}()
	for _, chunk := range c.dirty.chunks {
		for _, r := range chunk {
			if invariants.Enabled && at != nil && at.key >= r.key {
				invariants.Violated("ST3", "store %q: row %q is flushed after row %q", c.spec.Name, r.key, at.key)
			}
			at = r
			if err := c.flushRow(b, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// panicked turns a panic of the codec into an error.
func (c *cache[V]) panicked(at *row[V], v any) error {
	if at == nil {
		panic(v)
	}
	err, ok := v.(error)
	if ok {
		err = fmt.Errorf("panic: %w", err)
	} else {
		err = fmt.Errorf("panic: %v", v)
	}
	return &EncodeError{Store: c.spec.Name, Key: []byte(at.key), Err: err}
}

func (c *cache[V]) flushRow(b *Batch, r *row[V]) error {
	c.rowKey = append(c.rowKey[:c.prefixLen], r.key...)
	key := c.rowKey
	switch {
	case r.present:
		data, err := c.codec.Append(appendInt64(c.value[:0], r.timestamp), r.value)
		if err != nil {
			return &EncodeError{Store: c.spec.Name, Key: []byte(r.key), Err: err}
		}
		c.value = data[:0]
		b.Set(key, data)
		c.setLocal(b, r, key[c.prefixLen:])
		c.charge(r, int64(len(data)))
	case r.committed != absent:
		b.Delete(key)
		if !c.localMoves || r.committed == exists {
			c.deleteLocal(b, key[c.prefixLen:], r.localTime)
		}
		c.charge(r, 0)
	}
	r.flushed, r.changed = existenceOf(r.present), false
	c.counts.flushed++
	return nil
}

// setLocal writes the local row of a row that exists, unless the partition already has that local row. If localMoves is
// set and the cache does not know which local row the partition has, the old local row stays until the store reads and
// removes it.
func (c *cache[V]) setLocal(b *Batch, r *row[V], storeKey []byte) {
	if c.localKey == nil {
		return
	}
	known := r.committed == exists
	if c.localMoves {
		if known && r.localTime != r.timestamp {
			c.deleteLocal(b, storeKey, r.localTime)
		}
		// An earlier flush may not have been applied.
		known = known && r.localTime == r.timestamp && r.flushed == unknown
		r.localTime = r.timestamp
	}
	if known {
		return
	}
	if c.localBuf = c.localKey(c.localBuf[:0], storeKey, r.timestamp); len(c.localBuf) > 0 {
		b.SetLocal(c.localBuf, nil)
	}
}

func (c *cache[V]) deleteLocal(b *Batch, storeKey []byte, timestamp int64) {
	if c.localKey == nil {
		return
	}
	if c.localBuf = c.localKey(c.localBuf[:0], storeKey, timestamp); len(c.localBuf) > 0 {
		b.DeleteLocal(c.localBuf)
	}
}

// charge replaces the estimated size of a dirty row by the encoded size.
func (c *cache[V]) charge(r *row[V], size int64) {
	if size > 0 {
		c.valueSize += (size - c.valueSize) / 8
	}
	cost := c.overhead + int64(len(r.key)) + size
	d := cost - r.cost
	r.cost = cost
	c.account.addUsed(d)
	c.account.addDirty(d)
}

// committed makes the rows of the last flush clean, except rows that were changed later.
func (c *cache[V]) committed() {
	if invariants.Enabled {
		c.guard.Enter("ST7", c.spec.Name)
		defer c.guard.Exit()
	}
	kept := make([]*row[V], 0)
	seen := 0
	c.dirty.order()
	c.dirty.each(func(r *row[V]) {
		if r.flushed != unknown {
			r.committed, r.flushed = r.flushed, unknown
		}
		if r.changed {
			kept = append(kept, r)
			return
		}
		if invariants.Enabled {
			if seen++; seen%checkEvery == 1 {
				c.checkCommitted(r)
			}
		}
		r.dirty = false
		c.account.dirty -= r.cost
		if r.transient {
			c.forget(r)
		}
	})
	c.dirty.reset(kept)
	if invariants.Enabled {
		c.checkDirtyBytes()
	}
	c.account.publish()
	if n := c.account.giveBack(); n > 0 {
		c.evictAll(n)
	}
}

// rollback forgets the dirty rows.
func (c *cache[V]) rollback() {
	if invariants.Enabled {
		c.guard.Enter("ST7", c.spec.Name)
		defer c.guard.Exit()
	}
	c.dirty.each(func(r *row[V]) {
		c.account.dirty -= r.cost
		c.forget(r)
	})
	c.dirty.reset(nil)
	if invariants.Enabled {
		c.checkDirtyBytes()
	}
	c.account.publish()
}
