package topology

import "fmt"

// Unavailable wraps an error of a processor that neither the record nor the punctuation causes: for example, a system
// that the processor calls does not answer. The runtime rolls back to the last commit and tries again, with growing
// pauses, for as long as it takes; the policies of the topology do not apply. nil stays nil.
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
