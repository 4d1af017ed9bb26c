package engine

import (
	"context"
	"time"
)

// Executor runs calls of functions of the user beside a task, see topology.Stream.ProcessAsync. The task uses it from
// the goroutine that it belongs to.
type Executor interface {
	// Accept says that the call belongs to the record, or punctuation, that the task processes now.
	Accept(call *Call)
	// Start runs the call on another goroutine. It was accepted before.
	Start(call *Call)
	// Ended returns a call that was started and has ended; each once. If there is none it returns nil, or, if wait is
	// set, waits for one. An error means that waiting makes no sense any more.
	Ended(wait bool) (*Call, error)
	// Within runs f, which sends the result of the call: its output comes from the record that the call belongs to.
	// Afterwards the task goes on with the record before, unless f failed.
	Within(call *Call, f func() error) error
	// Cancel ends the contexts of the calls that run, waits until they have ended and forgets all that were accepted.
	Cancel()
}

// Call is one call that runs beside the task.
type Call struct {
	// Timeout is how long the context of the call lasts, 0 for no limit.
	Timeout time.Duration

	run  func(ctx context.Context)
	done func() error // on the goroutine of the task

	// The record, or the punctuation, that it belongs to.
	input       int
	offset      int64
	punctuation *Punctuation
}

// Run makes the call. It does not panic.
func (c *Call) Run(ctx context.Context) { c.run(ctx) }
