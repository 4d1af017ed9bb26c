package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/state"
)

// ownerStatus is where an owner is in its life.
//
//	      ┌─────────── failed, or outcome unknown ───────────┐
//	      ▼                                                  │
//	takingOver ──▶ restoring ──▶ serving ────────────────────┘
//	      │                         │
//	      │ somebody else claimed   │ stop
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

// ownerConfig is what all owners of an aggregate type share.
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
	log           *slog.Logger
	metrics       *metrics
}

// owner decides on the commands of one partition of an aggregate type. Its goroutine is run; everything else may be
// called from anywhere.
type owner struct {
	ownerConfig
	partition int32
	ledger    ledger
	engine    state.Engine
	store     state.Partition // open while run works; touched by run alone

	queue    chan *pending
	stopping chan struct{} // closed by stop: finish the queue, then end
	done     chan struct{} // closed when run has ended

	mu struct {
		sync.Mutex
		status   ownerStatus
		detail   string                      // why, if it is not serving
		refusing bool                        // nothing gets into the queue any more
		inFlight map[idempotencyKey][32]byte // fingerprints of keyed commands that have no answer yet
		commits  int64
		fences   int64
		damaged  int64 // how often the local state was dropped because it was damaged
		batch    int   // commands in the last transaction
	}
}

// idempotencyKey is the scope of an Idempotency-Key.
type idempotencyKey struct{ id, key string }

// pending is a command on its way through an owner.
type pending struct {
	about       *exchange
	id          string // of the aggregate
	location    string // URL path of the aggregate
	key         string // Idempotency-Key, "" if none
	fingerprint [32]byte
	commandID   string
	command     aggregates.Command
	asked       precondition

	stage  atomic.Int32  // queued → taken by the owner, or abandoned by the client
	done   chan struct{} // closed when answer is set
	answer *answer
	failed *Problem // instead of answer
}

const (
	stageQueued int32 = iota
	stageTaken
	stageAbandoned
)

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

// submit puts a command into the queue, or says why it cannot. It does not block. After nil the caller waits for
// p.done, or abandons p.
func (o *owner) submit(p *pending) *Problem {
	p.done = make(chan struct{})
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.refusing {
		return notReady(o.mu.status, o.mu.detail)
	}
	scope := idempotencyKey{p.id, p.key}
	if p.key != "" {
		if fingerprint, busy := o.mu.inFlight[scope]; busy {
			if fingerprint != p.fingerprint {
				return keyReused()
			}
			return keyInFlight()
		}
	}
	select {
	case o.queue <- p:
	default:
		return overloaded(cap(o.queue))
	}
	if p.key != "" {
		o.mu.inFlight[scope] = p.fingerprint
	}
	return nil
}

// abandon takes a command back, if the owner has not begun with it: then it is certain that it will not be executed.
func (o *owner) abandon(p *pending) bool {
	if !p.stage.CompareAndSwap(stageQueued, stageAbandoned) {
		return false
	}
	o.release(p)
	return true
}

// release lets the key of a finished command be used again.
func (o *owner) release(p *pending) {
	if p.key == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.mu.inFlight, idempotencyKey{p.id, p.key})
}

// finish answers a command.
func (o *owner) finish(p *pending, a *answer) {
	p.answer = a
	o.release(p)
	close(p.done)
}

// fail answers a command with a problem, which the goroutine of the request renders.
func (o *owner) fail(p *pending, problem *Problem) {
	p.failed = problem
	o.release(p)
	close(p.done)
}

// stop makes the owner refuse commands, finish those it has, and end. It returns at once; done is closed at the end.
// It may be called more than once.
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

// state returns the status and why it is that.
func (o *owner) state() (ownerStatus, string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.status, o.mu.detail
}

func (o *owner) become(status ownerStatus, detail string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if status == o.mu.status && detail == o.mu.detail {
		return
	}
	o.mu.status, o.mu.detail = status, detail
	o.log.Info("owner", slog.String("status", string(status)), slog.String("detail", detail))
}

// errStopped ends an owner that was told to.
var errStopped = errors.New("the owner was told to stop")

// run takes over, serves, and takes over again whenever something went wrong, until it is stopped, ctx ends, or
// somebody else owns the partition. Before it returns every command has its answer.
func (o *owner) run(ctx context.Context) {
	defer close(o.done)
	var unresolved []*pending // their transaction has an unknown outcome
	var failure error
	for {
		w, err := o.acquire(ctx, failure)
		if err != nil {
			o.end(err, unresolved)
			return
		}
		o.settle(unresolved)
		o.become(serving, "")
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

// end answers everything that is left.
func (o *owner) end(reason error, unresolved []*pending) {
	status, detail := stopped, "the server is shutting down"
	if isFenced(reason) {
		status, detail = fenced, reason.Error()
	}
	o.mu.Lock()
	o.mu.refusing = true
	o.mu.Unlock()
	o.become(status, detail)
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

// serve executes commands until the owner is stopped and its queue is empty, or a transaction fails. Then it returns
// the failure and the commands of which nobody knows whether they were executed.
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

// next waits for commands and returns a batch of them, or none if the owner shall end.
func (o *owner) next(ctx context.Context) []*pending {
	var batch []*pending
	take := func(p *pending) {
		if p.stage.CompareAndSwap(stageQueued, stageTaken) {
			batch = append(batch, p)
		}
	}
	for len(batch) == 0 {
		select {
		case p := <-o.queue:
			take(p)
		case <-ctx.Done():
			return nil
		case <-o.stopping:
			select {
			case p := <-o.queue: // nothing can follow: the queue is closed to submit before stopping is closed
				take(p)
			default:
				return nil
			}
		}
	}
	var timeout <-chan time.Time
	if o.linger > 0 {
		timer := time.NewTimer(o.linger)
		defer timer.Stop()
		timeout = timer.C
	}
	for len(batch) < o.maxBatch {
		select {
		case p := <-o.queue:
			take(p)
			continue
		default:
		}
		if timeout == nil {
			return batch
		}
		select {
		case p := <-o.queue:
			take(p)
		case <-timeout:
			return batch
		case <-o.stopping:
			timeout = nil
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}
