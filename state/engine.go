package state

import (
	"errors"
	"iter"
)

// ErrClosed is returned by the partitions of an engine that was closed.
var ErrClosed = errors.New("state: engine is closed")

// Engine keeps the committed state of all tasks of one processor group, or of one view, on this instance: bytes,
// sorted by key, split by partition. [NewMemory] and pebblestore.Open make one. Engines are safe for concurrent use.
type Engine interface {
	// Open returns the committed state of partition p, empty if the engine never saw it. Opening a partition again
	// returns the same state at no cost. p is 0 to [MaxPartition].
	Open(p int32) (Partition, error)
	// Partitions lists the partitions the engine has rows or an offset of, ascending.
	Partitions() ([]int32, error)
	// Drop removes all rows of partition p and its offset, also if they are damaged or were never opened. Partitions that
	// are open stay usable and are empty; a loop over Scan that is under way still sees what was there. It must not run
	// beside Apply on the same partition.
	Drop(p int32) error
	// Release makes partition p durable and gives back the memory that it takes while it is open. It waits for running
	// reads. Using the partition afterwards returns ErrClosed until it is opened again. Releasing a partition that is
	// not open does nothing.
	Release(p int32) error
	// Flush makes all that was applied durable.
	Flush() error
	// Close waits for running reads, flushes and closes. Using a Partition after Close returns ErrClosed. Closing
	// again does nothing. Close must not be called from within a loop over Scan.
	Close() error
}

// Reader reads rows.
type Reader interface {
	// Get appends the value of key to dst and reports whether key exists.
	Get(dst, key []byte) (value []byte, ok bool, err error)
	// Scan yields the rows with lo <= key < hi in key order, as they were when the loop over them began. A nil hi
	// means no upper bound. The slices of a row are valid until the next one and must not be modified; lo and hi
	// must not change while the sequence is in use. An error ends the sequence.
	Scan(lo, hi []byte) iter.Seq2[Row, error]
}

// Partition is the committed state of one task. Readers may run beside the one goroutine that applies batches.
type Partition interface {
	Reader
	// Snapshot calls read and returns its error. All that read reads by r is what there was when it was called, whatever is
	// applied meanwhile. r must not be used afterwards.
	Snapshot(read func(r Reader) error) error
	// Apply makes the batch visible and, with it, its offset: both or neither survive a crash. A batch without an
	// offset leaves the offset as it is. The batch may be reused as soon as Apply has returned.
	Apply(b *Batch) error
	// Offset returns the last changelog offset the state reflects, and false if none was ever applied.
	Offset() (offset int64, ok bool)
}

// MaxPartition is the highest partition number that engines accept: two bytes hold a partition, and the highest
// value is the engine's own.
const MaxPartition = 1<<16 - 2

// Row is one row of a partition.
type Row struct{ Key, Value []byte }
