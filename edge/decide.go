package edge

import (
	"errors"
	"fmt"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// maxRecordBytes bounds one record. Brokers refuse batches of more than 1 MiB, and a refused record would fail all
// commands of its transaction.
const maxRecordBytes = 900 << 10

// draft is an aggregate with the changes of the transaction's commands.
type draft struct {
	snapshot  // next is set when the offset of the last event is known
	value     aggregates.State
	lastEvent int // position in transaction.events + 1, or 0 if the transaction has not changed the aggregate
}

// decide executes one command on the drafts. Answers that need no commit are given at once.
func (tx *transaction) decide(p *pending) {
	if p.key != "" {
		switch stored, found, err := tx.o.storedResult(p); {
		case err != nil:
			tx.storeFailed(p, err)
			return
		case found && stored.fingerprint != p.fingerprint:
			tx.o.fail(p, keyReused())
			return
		case found:
			// A stored answer is committed and never changes, so repeating it needs no fence.
			stored.answer.set("Idempotency-Replayed", "true")
			tx.o.finish(p, &stored.answer)
			return
		}
	}
	a, err := tx.load(p.id)
	if err != nil {
		tx.storeFailed(p, err)
		return
	}
	if !p.precondition.allows(a.version) {
		tx.refuse(p, a, versionMismatch(a.version))
		return
	}
	if err := tx.apply(p, a); err != nil {
		// The user's functions may have changed the value in memory. The next command must not see that.
		delete(tx.drafts, p.id)
		if a.lastEvent > 0 {
			a.value, err = tx.reload(a, err)
			tx.drafts[p.id] = a
		}
		if rejection, ok := errors.AsType[*aggregates.Rejection](err); ok {
			tx.refuse(p, a, ruleBroken(tx.o.typ.Name(), rejection).withHeader("Etag", versionTag(a.version)))
			return
		}
		tx.o.fail(p, incident(tx.o.log, p.about, err))
	}
}

// load returns the draft of an aggregate. If the transaction has no draft of it yet, load makes one from the stored
// snapshot, or from the initial state if there is no snapshot.
func (tx *transaction) load(id string) (*draft, error) {
	if a, ok := tx.drafts[id]; ok {
		return a, nil
	}
	a := new(draft)
	row, ok, err := tx.o.store.Get(nil, snapshotKey(id))
	switch {
	case err != nil:
		return nil, fmt.Errorf("load aggregate %q: %w", id, err)
	case !ok:
		a.value, err = tx.o.typ.Initial()
	default:
		if a.snapshot, err = decodeSnapshot(row); err == nil {
			a.value, err = tx.o.typ.DecodeState(a.state)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("load aggregate %q: %w", id, err)
	}
	tx.drafts[id] = a
	return a, nil
}

// reload decodes the state of an aggregate again, after the error cause. It always returns cause, joined with the error
// of decoding if there is one.
func (tx *transaction) reload(a *draft, cause error) (aggregates.State, error) {
	value, err := tx.o.typ.DecodeState(a.state)
	if err != nil {
		return value, errors.Join(cause, err)
	}
	return value, cause
}

// apply decides on a command and adds its events to the transaction. After an error the transaction is unchanged.
func (tx *transaction) apply(p *pending, a *draft) error {
	facts, err := tx.o.typ.Decide(a.value, p.command,
		aggregates.Stamp{ID: p.id, Version: a.version, CommandID: p.commandID, Time: tx.now})
	if err != nil {
		return err
	}
	value, data := a.value, a.state
	for _, fact := range facts {
		if value, err = tx.o.typ.Evolve(value, fact); err != nil {
			return err
		}
		if len(fact.Data) > maxRecordBytes {
			return tooLarge("event "+fact.Type, len(fact.Data))
		}
	}
	if len(facts) > 0 {
		if data, err = tx.o.typ.AppendState(nil, value); err != nil {
			return err
		}
		if len(data) > maxRecordBytes {
			return tooLarge("state", len(data))
		}
	}

	created := a.version == 0 && len(facts) > 0
	reply := commandReply{CommandID: p.commandID, AggregateID: p.id, Events: make([]eventReply, 0, len(facts))}
	for i, fact := range facts {
		version := a.version + int64(i) + 1
		event := eventReply{ID: fmt.Sprintf("%s.%d", p.commandID, i), Type: fact.Type, Version: version}
		reply.Events = append(reply.Events, event)
		tx.events = append(tx.events, tx.o.eventRecord(p, fact, event, tx.now))
	}
	a.version += int64(len(facts))
	if len(facts) > 0 {
		a.value, a.state, a.lastEvent = value, data, len(tx.events)
	}
	reply.Version = a.version
	next := tx.position(a)
	tx.outcomes = append(tx.outcomes, outcome{p, func() *answer { return tx.o.success(p, reply, created, next()) }})
	return nil
}

// position returns a function to call when the offsets are known. The function returns the offset after the last event
// that the aggregate has now, or 0 if it has no events.
func (tx *transaction) position(a *draft) func() int64 {
	next, lastEvent := a.next, a.lastEvent
	return func() int64 {
		if lastEvent > 0 {
			return tx.events[lastEvent-1].Offset + 1
		}
		return next
	}
}

// refuse answers a command with a problem that depends on the state of an aggregate, after the commit (E2). The answer
// has a consistency token, so that the client can read the state that caused the refusal.
func (tx *transaction) refuse(p *pending, a *draft, problem *Problem) {
	next := tx.position(a)
	tx.outcomes = append(tx.outcomes, outcome{p, func() *answer {
		refusal := problem.answer(p.about)
		if token := tx.o.token(next()); token != "" {
			refusal.set("Consistency-Token", token)
		}
		return refusal
	}})
}

// storeFailed answers a command that could not read the store. Damage makes the owner take over again, which repairs
// the store.
func (tx *transaction) storeFailed(p *pending, err error) {
	if errors.Is(err, pebblestore.ErrCorrupt) {
		tx.damage = err
	}
	tx.o.fail(p, incident(tx.o.log, p.about, err))
}

// tooLarge returns the error for one command whose event or state is too large. Such a command must not make the whole
// transaction fail.
func tooLarge(what string, size int) error {
	return fmt.Errorf("%s has %d bytes, more than the %d that fit in a record", what, size, maxRecordBytes)
}
