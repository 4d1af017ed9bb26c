package state

import (
	"errors"
	"iter"
)

// ErrClosed is returned by the partitions of an engine that was closed.
var ErrClosed = errors.New("state: engine is closed")

// Engine keeps the committed state of all tasks of one processor group, or of one view, on this instance. State is
// bytes, sorted by key and split by partition. [NewMemory] and pebblestore.Open make an engine. Engines are safe for
// concurrent use.
type Engine interface {
	// Open returns the committed state of partition p, which is empty if the partition is new. Opening a partition
	// again returns the same state at no cost. p is 0 to [MaxPartition].
	Open(p int32) (Partition, error)
	// Partitions lists the partitions that have rows or an offset, ascending.
	Partitions() ([]int32, error)
	// Drop removes all rows of partition p and its offset, even if they are damaged or were never opened. An open
	// partition stays usable and is empty; a loop over Scan that is under way still sees the old rows. Drop must not
	// run beside Apply on the same partition.
	Drop(p int32) error
	// Release makes partition p durable and frees the memory that it uses while open. It waits for running reads. Using
	// the partition afterwards returns ErrClosed until it is opened again. Releasing a partition that is not open does
	// nothing.
	Release(p int32) error
	// Flush makes all applied batches durable.
	Flush() error
	// Close waits for running reads, flushes and closes. Using a Partition after Close returns ErrClosed. Closing again
	// does nothing. Close must not be called from within a loop over Scan.
	Close() error
}

// Reader reads rows.
type Reader interface {
	// Get appends the value of key to dst and reports whether key exists.
	Get(dst, key []byte) (value []byte, ok bool, err error)
	// Scan yields the rows with lo <= key < hi in key order, as they were when the loop began. A nil hi means no upper
	// bound. The slices of a row are valid until the next row and must not be modified; lo and hi must not change while
	// the sequence is in use. An error ends the sequence.
	Scan(lo, hi []byte) iter.Seq2[Row, error]
}

// Partition is the committed state of one task. Any number of readers may run beside the one goroutine that applies
// batches.
type Partition interface {
	Reader
	// Snapshot calls read and returns its error. r shows the partition as it was when Snapshot was called, even if
	// batches are applied in the meantime. r must not be used after read has returned.
	Snapshot(read func(r Reader) error) error
	// Apply makes the batch visible and, with it, its offset: both or neither survive a crash. A batch without an
	// offset leaves the offset as it is. The batch may be reused as soon as Apply has returned.
	Apply(b *Batch) error
	// Offset returns the last changelog offset the state reflects, and false if none was ever applied.
	Offset() (offset int64, ok bool)
}

// MaxPartition is the highest partition number that engines accept. Two bytes hold a partition, and engines reserve the
// highest value.
const MaxPartition = 1<<16 - 2

// Row is one row of a partition.
type Row struct{ Key, Value []byte }
