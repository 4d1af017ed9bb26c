package topologytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/seed84377926/millrace/topology/engine"
)

// CallsRandomly makes the calls of asynchronous operators end at random times and in a random order, chosen by the
// seed: some end after later records were piped, and all end by the next commit. Without it, each call ends before Pipe
// returns.
func CallsRandomly(seed uint64) Option {
	return func(d *Driver) { d.callDice = rand.New(rand.NewPCG(seed, seed)) }
}

// executor makes calls when the task asks for their results.
type executor struct {
	dice    *rand.Rand
	started []*engine.Call
}

// Accept implements engine.Executor.
func (e *executor) Accept(*engine.Call) {}

// Start implements engine.Executor.
func (e *executor) Start(call *engine.Call) { e.started = append(e.started, call) }

// Ended implements engine.Executor.
func (e *executor) Ended(wait bool) (*engine.Call, error) {
	if len(e.started) == 0 {
		if wait {
			return nil, fmt.Errorf("no call runs that could be waited for")
		}
		return nil, nil //nolint:nilnil // no call is no error
	}
	at := 0
	if e.dice != nil {
		if !wait && e.dice.IntN(2) == 0 {
			return nil, nil //nolint:nilnil // no call is no error
		}
		at = e.dice.IntN(len(e.started))
	}
	call := e.started[at]
	e.started = slices.Delete(e.started, at, at+1)
	call.Run(context.Background())
	return call, nil
}

// Within implements engine.Executor.
func (e *executor) Within(_ *engine.Call, f func() error) error { return f() }

// Cancel implements engine.Executor.
func (e *executor) Cancel() { e.started = nil }

// runCalls forwards the results of calls that have ended, or of all calls, and reports whether there were any.
func (d *Driver) runCalls(all bool) (some bool, err error) {
	for _, r := range d.runners {
		before := r.task.InFlight()
		settle := r.task.Poll
		if all {
			settle = r.task.Drain
		}
		if err := settle(); err != nil {
			return false, fmt.Errorf("sub-topology %q: %w", r.sub.Name(), err)
		}
		some = some || r.task.InFlight() < before
	}
	return some, nil
}
