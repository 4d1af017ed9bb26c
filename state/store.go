package state

// Store has the methods that a task needs to commit a store, whatever its kind and the types of its keys and values. A
// store belongs to one goroutine at a time, as its task does (ST7).
type Store interface {
	// Spec describes the store.
	Spec() Spec
	// Flush appends all dirty rows, in key order, and the local rows that go with them to b. The rows stay dirty until
	// Committed or Rollback. After an error b is incomplete: drop it and roll the store back.
	Flush(b *Batch) error
	// Committed must be called after the batch of the last Flush was applied to the partition. It makes the rows of
	// that Flush clean; rows that were changed later stay dirty.
	Committed()
	// Rollback forgets all dirty rows, so that reads see the partition again.
	Rollback()
	// DirtyBytes estimates the memory held by dirty rows, in bytes.
	DirtyBytes() int64
	// Close forgets everything and returns the cached bytes to the Budget. The store must not be used afterwards.
	// Closing again does nothing.
	Close()
}
