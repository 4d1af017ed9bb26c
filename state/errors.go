package state

import "fmt"

// EncodeError says that the codec of a store refused a value of it, or panicked on it. The value is to blame: the next
// attempt to write it would end the same way.
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
