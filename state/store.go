package state

// Store is what a task does with every store at its commit, whatever its kind and types. Like the task itself it
// belongs to one goroutine.
type Store interface {
	// Spec describes the store.
	Spec() Spec
	// Flush appends all dirty rows, in key order, and the local rows that go with them to b. The rows stay dirty
	// until Committed or Rollback. After an error b is incomplete: drop it and roll the store back.
	Flush(b *Batch) error
	// Committed says that the batch of the last Flush was applied to the partition: its rows are clean. Rows that
	// were changed after that Flush stay dirty.
	Committed()
	// Rollback forgets all dirty rows: reads see the partition again.
	Rollback()
	// DirtyBytes estimates the memory held by dirty rows, in bytes.
	DirtyBytes() int64
	// Close forgets everything and gives the cached bytes back to the Budget. The store must not be used afterwards;
	// closing again does nothing.
	Close()
}
