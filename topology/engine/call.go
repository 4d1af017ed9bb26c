package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Executor runs calls of functions of the user beside a task, see topology.Stream.ProcessAsync. The task uses it from the
// goroutine that it belongs to.
type Executor interface {
	// Accept says that the call belongs to the record, or punctuation, that the task processes now.
	Accept(call *Call)
	// Start runs the call on another goroutine. It was accepted before.
	Start(call *Call)
	// Ended returns a call that was started and has ended; each once. If there is none it returns nil, or, if wait is set,
	// waits for one. An error means that waiting makes no sense any more.
	Ended(wait bool) (*Call, error)
	// Within runs f, which sends the result of the call: its output comes from the record that the call belongs to. Afterwards the
	// task goes on with the record before, unless f failed.
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

// NewCall returns a call that belongs to the record, or punctuation, that the task processes now. run makes the call, on a
// goroutine of the executor, and must not panic; done takes its result, on the goroutine of the task.
func (h *Host) NewCall(timeout time.Duration, run func(ctx context.Context), done func() error) Call {
	return Call{Timeout: timeout, run: run, done: done, input: h.input, offset: h.offset, punctuation: h.punctuation}
}

// Run makes the call. It does not panic.
func (c *Call) Run(ctx context.Context) { c.run(ctx) }

// Caller is a part that has calls run beside the task.
type Caller interface {
	// Reset forgets all calls: they were cancelled.
	Reset()
}

// AddCaller adds a part that uses the executor.
func (h *Host) AddCaller(c Caller) { h.callers = append(h.callers, c) }

// AcceptCall says that a record waits for the call.
func (h *Host) AcceptCall(c *Call) {
	h.inFlight++
	h.cfg.Executor.Accept(c)
}

// StartCall runs a call that was accepted.
func (h *Host) StartCall(c *Call) { h.cfg.Executor.Start(c) }

// CallSettled says that the record of a call that was accepted has its result.
func (h *Host) CallSettled() { h.inFlight-- }

// SettleCall forwards the result of one call that has ended, and reports whether there was one; wait waits for it.
func (h *Host) SettleCall(wait bool) (some bool, err error) {
	call, err := h.cfg.Executor.Ended(wait)
	if err != nil {
		return false, fmt.Errorf("sub-topology %q: wait for calls: %w", h.name, err)
	}
	if call == nil {
		return false, nil
	}
	err = h.WithinCall(call, call.done)
	return err == nil, err
}

// WithinCall runs f as for the record, or punctuation, that the call belongs to.
func (h *Host) WithinCall(call *Call, f func() error) error {
	input, offset, punctuation := h.input, h.offset, h.punctuation
	h.input, h.offset, h.punctuation = call.input, call.offset, call.punctuation
	if err := h.cfg.Executor.Within(call, f); err != nil {
		return err
	}
	h.input, h.offset, h.punctuation = input, offset, punctuation
	return nil
}

// InFlight returns how many records wait for calls.
func (t *Task) InFlight() int { return t.host.inFlight }

// Poll forwards the results of calls that have ended. The owner calls it when the executor has some; what the task sends
// belongs to the open transaction. Errors are those of Process.
func (t *Task) Poll() error { return t.host.settleCalls(false) }

// Drain waits for all calls and forwards their results. The owner calls it before Flush. Errors are those of Process.
func (t *Task) Drain() error { return t.host.settleCalls(true) }

func (h *Host) settleCalls(wait bool) (err error) {
	defer h.recovered(&err)
	for h.inFlight > 0 {
		h.arena.begin()
		some, err := h.SettleCall(wait)
		if err != nil {
			return err
		}
		h.arena.end()
		if !some {
			break
		}
	}
	return nil
}

// cancelCalls forgets all calls.
func (h *Host) cancelCalls() {
	if len(h.callers) == 0 {
		return
	}
	h.cfg.Executor.Cancel()
	for _, c := range h.callers {
		c.Reset()
	}
	h.inFlight = 0
}

var errNoExecutor = errors.New("TaskConfig.Executor is nil, and there are asynchronous operators")
