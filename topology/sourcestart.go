package topology

import (
	"fmt"
	"time"
)

// StartKind says where a source without offsets begins.
type StartKind uint8

// Kinds of a [Start].
const (
	StartEarliest  StartKind = iota // at the first record
	StartLatest                     // after the last record
	StartAge                        // at the first record that is not older than Age
	StartCommitted                  // nowhere: a missing offset is an error
)

// Start says where a group begins to read a partition of a source for which it has no offset, as when the application
// starts for the first time. The zero value is the default, StartEarliest.
type Start struct {
	Kind StartKind
	Age  time.Duration // of StartAge
}

func (s Start) validate() error {
	if s.Kind == StartAge && s.Age <= 0 {
		return fmt.Errorf("FromLast of %v; want more than 0", s.Age)
	}
	return nil
}
