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

type startOption Start

func (s startOption) applySource(o *sourceOptions) { o.start = Start(s) }
func (s startOption) applyTable(o *tableOptions)   { s.applySource(&o.sourceOptions) }

// FromLatest makes a source begin after the last record, instead of at the first one, when the application starts for
// the first time. A table that begins there lacks the rows written before.
func FromLatest() SourceOption { return startOption{Kind: StartLatest} }

// FromLast makes a source begin at the first record that is no older than age when the application starts for the first
// time (KIP-1106), or after the last record if all are older.
func FromLast(age time.Duration) SourceOption { return startOption{Kind: StartAge, Age: age} }

// FromCommitted makes the application stop with an error if its group has no offset for a partition of the source: the
// user must set the offsets.
func FromCommitted() SourceOption { return startOption{Kind: StartCommitted} }

func (s Start) validate() error {
	if s.Kind == StartAge && s.Age <= 0 {
		return fmt.Errorf("FromLast of %v; want more than 0", s.Age)
	}
	return nil
}
