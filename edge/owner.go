package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/state"
)

// ownerStatus is the state of an owner.
//
//	      ┌─────────── failed, or outcome unknown ───────────┐
//	      ▼                                                  │
//	takingOver ──▶ restoring ──▶ serving ────────────────────┘
//	      │                         │
//	      │ another one claimed     │ stop
//	      ▼                         ▼
//	   fenced                    stopped
type ownerStatus string

const (
	takingOver ownerStatus = "taking over"
	restoring  ownerStatus = "restoring"
	serving    ownerStatus = "serving"
	fenced     ownerStatus = "fenced"
	stopped    ownerStatus = "stopped"
)

// ownerConfig is the part that all owners of an aggregate type share.
type ownerConfig struct {
	typ       aggregates.Type
	topic     string // of events
	changelog string
	source    string // ce_source of events
	claim     claim

	maxBatch      int
	linger        time.Duration
	queueDepth    int
	commitTimeout time.Duration
	window        time.Duration // of idempotency
	backoff       time.Duration // between failed takeovers
	clock         func() time.Time
	steady        *steadyClock // clock without its steps
	log           *slog.Logger
	metrics       *metrics
}

// owner decides on the commands of one partition of an aggregate type. ownerSet starts its goroutine, which is run;
// stop ends it. Methods that say nothing else are called by run; submit, abandon, stop, state and report may be called
// from any goroutine.
type owner struct {
	ownerConfig
	partition int32
	ledger    ledger
	engine    state.Engine
	store     state.Partition // open while run works; used by run alone

	queue    chan *pending
	stopping chan struct{} // closed by stop: finish the queue, then end
	done     chan struct{} // closed when run has ended

	mu struct {
		sync.Mutex
		status   ownerStatus
		detail   string                      // why, if it is not serving
		refusing bool                        // submit refuses all commands
		inFlight map[idempotencyKey][32]byte // fingerprints of commands with a key that have no answer yet
		commits  int64
		fences   int64
		damaged  int64 // how often damaged local state was dropped
		batch    int   // commands in the last transaction
	}
}

func newOwner(cfg ownerConfig, partition int32, l ledger, engine state.Engine) *owner {
	o := &owner{
		ownerConfig: cfg, partition: partition, ledger: l, engine: engine,
		queue: make(chan *pending, cfg.queueDepth), stopping: make(chan struct{}), done: make(chan struct{}),
	}
	o.log = cfg.log.With(slog.String("aggregate", cfg.typ.Name()), slog.Int("partition", int(partition)))
	o.mu.status = takingOver
	o.mu.inFlight = make(map[idempotencyKey][32]byte)
	return o
}

// stop makes the owner refuse new commands, finish the queued ones, and end. It returns at once; done is closed at the
// end. It may be called more than once.
func (o *owner) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.mu.refusing {
		o.mu.refusing = true
		o.mu.detail = "the server is shutting down"
	}
	select {
	case <-o.stopping:
	default:
		close(o.stopping)
	}
}

// state returns the status and the reason for it.
func (o *owner) state() (ownerStatus, string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.status, o.mu.detail
}

func (o *owner) setStatus(status ownerStatus, detail string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if status == o.mu.status && detail == o.mu.detail {
		return
	}
	o.mu.status, o.mu.detail = status, detail
	o.log.Info("owner", slog.String("status", string(status)), slog.String("detail", detail))
}

// errStopped ends an owner that was told to stop.
var errStopped = errors.New("edge: the owner was told to stop")

// run takes over and serves, and takes over again after every failure, until the owner is stopped, ctx ends, or another
// instance owns the partition. Every command has its answer before it returns.
func (o *owner) run(ctx context.Context) {
	defer close(o.done)
	var unresolved []*pending // the commands of a transaction with an unknown outcome
	var failure error
	for {
		w, err := o.acquire(ctx, failure)
		if err != nil {
			o.end(err, unresolved)
			return
		}
		o.resolve(unresolved)
		o.setStatus(serving, "")
		unresolved, failure = o.serve(ctx, w)
		w.Close()
		if failure == nil {
			o.end(errStopped, unresolved)
			return
		}
		if isFenced(failure) {
			o.mu.Lock()
			o.mu.fences++
			o.mu.Unlock()
		}
		o.log.Warn("owner must take over again", slog.Any("error", failure), slog.Int("unresolved", len(unresolved)))
	}
}

// end answers all commands that are left.
func (o *owner) end(reason error, unresolved []*pending) {
	status, detail := stopped, "the server is shutting down"
	if isFenced(reason) {
		status, detail = fenced, reason.Error()
	}
	o.mu.Lock()
	o.mu.refusing = true
	o.mu.Unlock()
	o.setStatus(status, detail)
	for _, p := range unresolved {
		o.fail(p, outcomeUnknown(p.key != ""))
	}
	for {
		select {
		case p := <-o.queue:
			if p.stage.CompareAndSwap(stageQueued, stageTaken) {
				o.fail(p, notReady(status, detail))
			}
		default:
			return
		}
	}
}

// serve executes commands until the owner is stopped and its queue is empty, or a transaction fails. It then returns
// the failure and the commands whose outcome is unknown.
func (o *owner) serve(ctx context.Context, w writer) (unresolved []*pending, failure error) {
	for {
		batch := o.next(ctx)
		if len(batch) == 0 {
			return nil, nil
		}
		if unresolved, failure := o.execute(ctx, w, batch); failure != nil {
			return unresolved, failure
		}
	}
}
