package edge

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
)

// transaction is what the commands of one batch have done so far. Nothing of it is visible anywhere before the commit.
type transaction struct {
	o        *owner
	now      int64 // milliseconds since the Unix epoch
	drafts   map[string]*draft
	events   []*kgo.Record
	outcomes []outcome
	damage   error // the damage that a read of the store met, or nil
}

// outcome is a command whose answer waits for the commit. The answer waits for one of two reasons. The command changed
// something. Or the answer depends on state: then only the commit proves that no other instance owned that state (E2).
type outcome struct {
	p      *pending
	answer func() *answer // called when the offsets of all events are known
}

// execute decides on the commands of a batch and commits the result. After an error the writer must not be used any
// more. The commands that it returns may or may not have been executed; all others have their answers.
func (o *owner) execute(ctx context.Context, w writer, batch []*pending) (unresolved []*pending, failure error) {
	tx := &transaction{o: o, now: o.clock().UnixMilli(), drafts: make(map[string]*draft)}
	for _, p := range batch {
		tx.decide(p)
	}
	o.metrics.batch.WithLabelValues(o.typ.Name()).Observe(float64(len(batch)))
	if len(tx.outcomes) == 0 {
		return nil, tx.damage // only repeated answers and failures, which need no commit
	}
	start := o.clock()
	answers, err := tx.commit(ctx, w)
	o.metrics.commit.WithLabelValues(o.typ.Name()).Observe(o.clock().Sub(start).Seconds())

	if err != nil {
		o.setStatus(takingOver, err.Error()) // before any answer: a client that asks for the status after its refusal must see it
	}
	failed, isOutcome := errors.AsType[*outcomeError](err)
	switch {
	case isOutcome && failed.unknown:
		for _, done := range tx.outcomes {
			unresolved = append(unresolved, done.p)
		}
		return unresolved, err
	case isOutcome:
		for _, done := range tx.outcomes {
			o.fail(done.p, notExecuted())
		}
		return nil, err
	}
	// Committed. An error now comes from the local store, which the takeover repairs. The answers are true anyway.
	o.mu.Lock()
	o.mu.commits++
	o.mu.batch = len(tx.outcomes)
	o.mu.Unlock()
	for i, done := range tx.outcomes {
		o.finish(done.p, answers[i])
	}
	return nil, errors.Join(err, tx.damage)
}

// commit writes the events, the new states and the answers as one Kafka transaction. The events come first, because
// their offsets are part of the answers. An *outcomeError means that the transaction is not committed, or that its
// outcome is unknown. Any other error comes from the local store, after the commit.
func (tx *transaction) commit(ctx context.Context, w writer) ([]*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, tx.o.commitTimeout)
	defer cancel()
	// Nothing is committed before the commit is requested. Until then the outcome of every failure is known.
	notCommitted := func(err error) error { return &outcomeError{err: err} }
	if err := w.Begin(); err != nil {
		return nil, notCommitted(err)
	}
	for _, record := range tx.events {
		w.Produce(record, nil)
	}
	if len(tx.events) > 0 {
		if err := w.Flush(ctx); err != nil {
			return nil, notCommitted(err)
		}
	}
	answers := make([]*answer, len(tx.outcomes))
	for i, done := range tx.outcomes {
		answers[i] = done.answer()
	}
	var batch state.Batch
	if err := tx.rows(&batch, answers); err != nil {
		return nil, notCommitted(err)
	}
	var last atomic.Int64 // acknowledgements arrive in order, but on another goroutine
	for op := range batch.Ops() {
		if !op.Local {
			w.Produce(tx.o.changelogRecord(op.Key, op.Value, tx.now), func(r *kgo.Record) { last.Store(r.Offset) })
		}
	}
	if err := w.Commit(ctx, nil); err != nil {
		return nil, &outcomeError{unknown: true, err: err}
	}
	batch.SetOffset(last.Load())
	if err := tx.o.store.Apply(&batch); err != nil {
		return answers, fmt.Errorf("apply committed state to the local store: %w", err)
	}
	return answers, nil
}

// rows adds all rows of the transaction to batch. At least one of them goes to the changelog.
func (tx *transaction) rows(batch *state.Batch, answers []*answer) error {
	expired, err := tx.expire(batch)
	if err != nil {
		return err
	}
	written := expired
	for id, a := range tx.drafts {
		if a.lastEvent > 0 {
			a.next = tx.events[a.lastEvent-1].Offset + 1
			batch.Set(snapshotKey(id), a.row(tx.now))
			written++
		}
	}
	decided := max(tx.now, tx.o.steady.now().UnixMilli()) // by either clock: the wall clock may have been set back
	for i, done := range tx.outcomes {
		if p := done.p; p.key != "" {
			key, row := resultKey(p.id, p.key), result{timestamp: decided, fingerprint: p.fingerprint, answer: *answers[i]}.row()
			if err := tx.o.trackResultAge(batch, key, row); err != nil {
				return err
			}
			batch.Set(key, row)
			written++
		}
	}
	if written == 0 {
		batch.Set([]byte(fenceKey), nil) // a transaction without records is not sent to the broker and proves nothing (E2)
	}
	return nil
}

// outcomeError is the failure of a transaction and what is known about its outcome.
type outcomeError struct {
	unknown bool // it may have been committed
	err     error
}

func (e *outcomeError) Error() string {
	if e.unknown {
		return fmt.Sprintf("outcome unknown: %v", e.err)
	}
	return fmt.Sprintf("not committed: %v", e.err)
}

func (e *outcomeError) Unwrap() error { return e.err }
