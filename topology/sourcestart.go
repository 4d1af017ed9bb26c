package topology

import (
	"fmt"
	"time"
)

// StartKind says what [Start.Age] means.
type StartKind uint8

// Kinds of a [Start].
const (
	StartEarliest  StartKind = iota // at the first record that there is
	StartLatest                     // behind the last record
	StartAge                        // at the first record that is not older than Age
	StartCommitted                  // nowhere: that there is no offset is an error
)

// Start says where a group begins to read a partition of a source for which it has no offset yet: when the application starts
// for the first time. The zero value is the default, StartEarliest.
type Start struct {
	Kind StartKind
	Age  time.Duration // of StartAge
}

type startOption Start

func (s startOption) applySource(o *sourceOptions) { o.start = Start(s) }
func (s startOption) applyTable(o *tableOptions)   { s.applySource(&o.sourceOptions) }

// FromLatest has a source begin behind the last record when the application starts for the first time, instead of at the
// first record that there is. A table that begins so lacks the rows written before.
func FromLatest() SourceOption { return startOption{Kind: StartLatest} }

// FromLast has a source begin at the first record that is no older than age when the application starts for the first
// time (KIP-1106), and behind the last record if all are older.
func FromLast(age time.Duration) SourceOption { return startOption{Kind: StartAge, Age: age} }

// FromCommitted has the application stop with an error if its group has no offset for a partition of the source: somebody
// must have set them.
func FromCommitted() SourceOption { return startOption{Kind: StartCommitted} }

func (s Start) validate() error {
	if s.Kind == StartAge && s.Age <= 0 {
		return fmt.Errorf("FromLast of %v; want more than 0", s.Age)
	}
	return nil
}
