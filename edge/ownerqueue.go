package edge

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/seed84377926/millrace/aggregates"
)

// pending is a command that waits for its owner or is being executed.
type pending struct {
	about        *exchange
	id           string // of the aggregate
	location     string // URL path of the aggregate
	key          string // Idempotency-Key, "" if none
	fingerprint  [32]byte
	commandID    string
	command      aggregates.Command
	precondition precondition

	stage  atomic.Int32  // queued, then taken by the owner or abandoned by the client
	done   chan struct{} // closed when answer or failed is set
	answer *answer
	failed *Problem // instead of answer; rendered by the goroutine of the request
}

const (
	stageQueued int32 = iota
	stageTaken
	stageAbandoned
)

// submit puts a command into the queue, or returns a problem that says why it cannot. It does not block. After nil the
// caller waits for p.done, or abandons p.
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

// abandon withdraws a command that the owner has not taken yet: the command will never be executed. If the owner has
// taken the command, abandon changes nothing and returns false.
func (o *owner) abandon(p *pending) bool {
	if !p.stage.CompareAndSwap(stageQueued, stageAbandoned) {
		return false
	}
	o.releaseKey(p)
	return true
}

// releaseKey allows the key of a finished command to be sent again.
func (o *owner) releaseKey(p *pending) {
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
	o.releaseKey(p)
	close(p.done)
}

// fail answers a command with a problem.
func (o *owner) fail(p *pending, problem *Problem) {
	p.failed = problem
	o.releaseKey(p)
	close(p.done)
}

// next waits for commands and returns a batch of them. It returns none if the owner must end.
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
			case p := <-o.queue: // none can follow: submit refuses before stopping is closed
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
