package state

import "fmt"

// EncodeError says that the codec of a store refused a value or panicked on it. The cause is the value: the next
// attempt to write it would fail in the same way.
type EncodeError struct {
	Store string
	Key   []byte // store key
	Err   error
}

// Error implements error.
func (e *EncodeError) Error() string {
	return fmt.Sprintf("flush store %q: key %q: the value cannot be encoded: %v", e.Store, e.Key, e.Err)
}

// Unwrap returns the error of the codec, or the value of its panic if that is an error.
func (e *EncodeError) Unwrap() error { return e.Err }

// DanglingIndexError says that an index leads to a row that does not exist.
type DanglingIndexError struct {
	Store, Of  string // the index and the store that it belongs to
	Index, Key []byte // index key and key
}

// Error implements error.
func (e *DanglingIndexError) Error() string {
	return fmt.Sprintf("index %q leads from %q to row %q, which store %q does not have: the function of the index gave another index key "+
		"when the row went than when it came; it must depend on the row alone, and an index whose function has changed needs another name",
		e.Store, e.Index, e.Key, e.Of)
}
