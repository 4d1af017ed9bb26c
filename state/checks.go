package state

import (
	"bytes"
	"iter"

	"github.com/seed84377926/millrace/internal/invariants"
)

// This file has the checks of the invariants that doc.go lists. They run in programs that are built with the tag
// "invariants" only, see package invariants.

// checkEvery says how many rows of a commit are compared with the partition: one in checkEvery.
const checkEvery = 16

// checkCommitted compares a row that a commit has made clean with the row of the partition. The flush encoded that row,
// so its size is known. A partition that cannot be read is not checked.
func (c *cache[V]) checkCommitted(r *row[V]) {
	c.rowKey = append(c.rowKey[:c.prefixLen], r.key...)
	data, ok, err := c.part.Get(c.value[:0], c.rowKey)
	if err != nil {
		return
	}
	c.value = data[:0]
	if ok != r.present {
		invariants.Violated("ST2", "store %q: row %q is clean and its presence is %v; in the partition it is %v: "+
			"was the batch of the last Flush applied?", c.spec.Name, r.key, r.present, ok)
	}
	if !ok {
		return
	}
	if timestamp, _, err := SplitRowValue(data); err != nil || timestamp != r.timestamp {
		invariants.Violated("ST2", "store %q: row %q is clean and has the timestamp %d; in the partition it has %d: "+
			"was the batch of the last Flush applied?", c.spec.Name, r.key, r.timestamp, timestamp)
	}
	if size := r.cost - c.overhead - int64(len(r.key)); int64(len(data)) != size {
		invariants.Violated("ST2", "store %q: row %q is clean and was flushed with %d bytes; in the partition it has %d: "+
			"was the batch of the last Flush applied?", c.spec.Name, r.key, size, len(data))
	}
	c.checkLocal(r)
}

// checkLocal checks that a row of the partition has the local row that it needs. The row key is in c.rowKey.
func (c *cache[V]) checkLocal(r *row[V]) {
	if c.localKey == nil {
		return
	}
	c.localBuf = c.localKey(c.localBuf[:0], c.rowKey[c.prefixLen:], r.timestamp)
	if len(c.localBuf) == 0 {
		return
	}
	if _, ok, err := c.part.Get(c.value[:0], c.localBuf); err == nil && !ok {
		invariants.Violated("ST4", "store %q: row %q is in the partition and its local row %q is not", c.spec.Name, r.key, c.localBuf)
	}
}

// checkDirtyBytes checks that the account is charged the cost of the dirty rows, and that its total includes them.
func (c *cache[V]) checkDirtyBytes() {
	var want int64
	c.dirty.each(func(r *row[V]) { want += r.cost })
	if c.account.dirty != want || c.account.used < want {
		invariants.Violated("ST8", "store %q: dirty rows cost %d bytes; charged are %d, and %d for all rows",
			c.spec.Name, want, c.account.dirty, c.account.used)
	}
}

// orderCheck checks that rows come in the order of their keys.
type orderCheck struct {
	last  []byte
	begun bool
}

func (o *orderCheck) next(store string, key []byte) {
	if o.begun && bytes.Compare(o.last, key) >= 0 {
		invariants.Violated("ST3", "store %q: row %q comes after row %q", store, key, o.last)
	}
	o.last, o.begun = append(o.last[:0], key...), true
}

// scanPartition scans rows of a store in its partition. It checks ST3 and ST5.
func scanPartition(part Reader, store string, lo, hi []byte) iter.Seq2[Row, error] {
	rows := part.Scan(lo, hi)
	if !invariants.Enabled {
		return rows
	}
	return func(yield func(Row, error) bool) {
		var order orderCheck
		for row, err := range rows {
			if err == nil {
				order.next(store, row.Key)
				if row.Value == nil {
					invariants.Violated("ST5", "store %q: the engine yields row %q with a nil value", store, row.Key)
				}
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// lendRows wraps yield so that each row is lent until the next one (ST6).
func lendRows(yield func(Row, error) bool) func(Row, error) bool {
	return func(row Row, err error) bool {
		loan := invariants.Lend(row.Key, row.Value)
		defer loan.End("ST6")
		return yield(Row{Key: loan.Key, Value: loan.Value}, err)
	}
}

// lentReader is the reader of a snapshot. Its user must not keep it (ST6).
type lentReader struct {
	Reader
	ended bool
}

func (r *lentReader) check() {
	if r.ended {
		invariants.Violated("ST6", "the reader of a snapshot is used after the snapshot")
	}
}

func (r *lentReader) Get(dst, key []byte) ([]byte, bool, error) {
	r.check()
	return r.Reader.Get(dst, key)
}

func (r *lentReader) Scan(lo, hi []byte) iter.Seq2[Row, error] {
	r.check()
	return r.Reader.Scan(lo, hi)
}
