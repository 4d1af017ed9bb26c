package processors

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/topology/engine"
)

// executor runs the calls of asynchronous operators, each on a goroutine of its own; the topology bounds their number.
// Only the goroutine that has the life calls its methods; the calls themselves touch nothing but the fields under mu.
type executor struct {
	life *life
	ctx  context.Context //nolint:containedctx // of the life

	records map[*engine.Call]*kgo.Record // the record of each call; nil for a punctuation
	calls   context.Context              //nolint:containedctx // of the calls since the last Cancel
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu struct {
		sync.Mutex
		ended []*engine.Call
	}
	signal chan struct{} // signalled: a call has ended
}

func newExecutor(ctx context.Context, l *life) *executor {
	e := &executor{life: l, ctx: ctx, records: make(map[*engine.Call]*kgo.Record), signal: make(chan struct{}, 1)}
	e.calls, e.cancel = context.WithCancel(ctx)
	return e
}

// Accept implements engine.Executor.
func (e *executor) Accept(call *engine.Call) { e.records[call] = e.life.current }

// Start implements engine.Executor.
func (e *executor) Start(call *engine.Call) {
	ctx, cancel := e.calls, func() {}
	if call.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, call.Timeout)
	}
	e.running.Go(func() {
		defer cancel()
		call.Run(ctx)
		e.mu.Lock()
		e.mu.ended = append(e.mu.ended, call)
		e.mu.Unlock()
		select {
		case e.signal <- struct{}{}:
		default:
		}
		e.life.task.wake()
	})
}

// stopPatience is how long a task that is to end waits for a call. The next owner of the task makes the call again.
const stopPatience = 5 * time.Second

// Ended implements engine.Executor. It gives up a call that lasts longer than a transaction may.
func (e *executor) Ended(wait bool) (*engine.Call, error) {
	if call := e.take(); call != nil || !wait {
		return call, nil
	}
	patience, stopping := e.life.inst.cfg.TransactionTimeout, e.life.task.stopping
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-e.signal:
			if call := e.take(); call != nil {
				return call, nil
			}
		case <-stopping:
			stopping = nil
			patience = min(patience, stopPatience)
			timer.Reset(patience)
		case <-timer.C:
			return nil, fmt.Errorf("no call has ended for %v; bound them with topology.CallTimeout, or raise TransactionTimeout", patience)
		case <-e.ctx.Done():
			return nil, context.Cause(e.ctx)
		}
	}
}

func (e *executor) take() *engine.Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.mu.ended) == 0 {
		return nil
	}
	call := e.mu.ended[0]
	e.mu.ended = e.mu.ended[1:]
	return call
}

// Within implements engine.Executor.
func (e *executor) Within(call *engine.Call, f func() error) error {
	before := e.life.current
	e.life.current = e.records[call]
	if err := f(); err != nil {
		return err
	}
	delete(e.records, call)
	e.life.current = before
	return nil
}

// Cancel implements engine.Executor.
func (e *executor) Cancel() {
	e.cancel()
	e.running.Wait()
	e.mu.ended = nil
	clear(e.records)
	e.calls, e.cancel = context.WithCancel(e.ctx)
}

// close ends all calls for good.
func (e *executor) close() {
	e.cancel()
	e.running.Wait()
}
