package topology

import "fmt"

// Unavailable wraps an error of a processor that the record is not to blame for, nor the punctuation: a system that the
// processor calls does not answer, say. The runtime goes back to the last commit and tries again, with growing pauses, for as
// long as it takes; the policies of the topology have no say. nil stays nil.
func Unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &UnavailableError{Err: err}
}

// UnavailableError is the error that [Unavailable] makes.
type UnavailableError struct{ Err error }

// Error implements error.
func (e *UnavailableError) Error() string { return fmt.Sprintf("not available: %v", e.Err) }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }
