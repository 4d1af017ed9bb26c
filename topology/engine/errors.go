package engine

import "fmt"

// DecodeError says that an input record could not be decoded. Nothing of the record was processed: the owner of the
// task may let it go on as if the record did not exist.
type DecodeError struct {
	Node, Topic string
	Partition   int32
	Offset      int64
	// Part is "key" or "value".
	Part string
	// Err is the error of the codec.
	Err error
}

// Error implements error.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("node %q: topic %q partition %d offset %d: %s cannot be decoded: %v",
		e.Node, e.Topic, e.Partition, e.Offset, e.Part, e.Err)
}

// Unwrap returns the error of the codec.
func (e *DecodeError) Unwrap() error { return e.Err }

// RecordError says that a node failed on an input record and will fail again: a function of the user panicked
// ([*PanicError]) or a codec refused a value. The record may be half processed: the task must be rolled back before it
// does anything else.
type RecordError struct {
	Node, Topic string
	Partition   int32
	Offset      int64
	Err         error
}

// Error implements error.
func (e *RecordError) Error() string {
	return fmt.Sprintf("node %q: topic %q partition %d offset %d: %v", e.Node, e.Topic, e.Partition, e.Offset, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// RouteError says that a function of the user chose, for a record, a topic that takes no records: the topic does not
// exist, or the runtime may not write to it. The input record may be half processed: the task must be rolled back
// before it does anything else.
type RouteError struct {
	Node, Topic string
	Partition   int32
	Offset      int64
	// To is the topic that was chosen.
	To string
	// Err says what is wrong with it.
	Err error
}

// Error implements error.
func (e *RouteError) Error() string {
	return fmt.Sprintf("node %q: topic %q partition %d offset %d: output to topic %q: %v", e.Node, e.Topic, e.Partition, e.Offset, e.To, e.Err)
}

// Unwrap returns the cause.
func (e *RouteError) Unwrap() error { return e.Err }

// Punctuation is a call that a node has scheduled for a time. No input record leads to it.
type Punctuation struct {
	// Node is the name of the node that scheduled it, Number the number of the schedule of this node, from 1.
	Node   string
	Number int
	// Due is the time at which it was due, in milliseconds since the Unix epoch.
	Due int64
}

// String names the punctuation.
func (p Punctuation) String() string {
	return fmt.Sprintf("punctuation %d of %q due at %d", p.Number, p.Node, p.Due)
}

// PunctuationError says that a node failed in a punctuation and will fail again, as a [RecordError] says for a record.
// The punctuation may be half done: the task must be rolled back before it does anything else.
type PunctuationError struct {
	Punctuation

	// Failed is the node that failed: the node that scheduled the punctuation, or a node below it.
	Failed string
	Err    error
}

// Error implements error.
func (e *PunctuationError) Error() string {
	return fmt.Sprintf("node %q: %v: %v", e.Failed, e.Punctuation, e.Err)
}

// Unwrap returns the cause.
func (e *PunctuationError) Unwrap() error { return e.Err }

// PanicError is a panic of a function or codec of the user.
type PanicError struct {
	// Value is the argument of panic.
	Value any
	// Stack is the stack trace of the goroutine.
	Stack []byte
}

// Error implements error. It does not print the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, ok := e.Value.(error)
	if !ok {
		return nil
	}
	return err
}
