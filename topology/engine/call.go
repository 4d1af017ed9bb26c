package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// NewCall returns a call that belongs to the record, or punctuation, that the task processes now. run makes the call,
// on a goroutine of the executor, and must not panic; done takes its result, on the goroutine of the task.
func (h *Host) NewCall(timeout time.Duration, run func(ctx context.Context), done func() error) Call {
	return Call{Timeout: timeout, run: run, done: done, input: h.input, offset: h.offset, punctuation: h.punctuation}
}

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
