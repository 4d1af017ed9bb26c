package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// maxRecordBytes bounds one record: brokers refuse larger batches than 1 MiB, and a refused record would take all
// commands of its transaction with it.
const maxRecordBytes = 900 << 10

// maxExpired bounds how many expired results one commit deletes.
const maxExpired = 64

// unit is what the commands of one transaction did so far. Nothing of it is anywhere else before the commit.
type unit struct {
	o        *owner
	now      int64 // milliseconds since the Unix epoch
	overlay  map[string]*overlaid
	events   []*kgo.Record
	outcomes []outcome
	damage   error // why the store cannot be read any more, nil if it can
}

// overlaid is an aggregate as the commands of the unit have left it.
type overlaid struct {
	snapshot  // next counts from the last event if changed
	value     aggregates.State
	lastEvent int // index in unit.events + 1, 0 if the unit did not change the aggregate
}

// outcome is a command whose answer waits for the commit: because it changed something, or because what it says
// depends on state and only the commit shows that the state was ours.
type outcome struct {
	p      *pending
	answer func() *answer // called when the offsets of all events are known
}

// execute decides on the commands of a batch and commits what they did. After an error the writer is finished; the
// commands that it returns may or may not have been executed, all others have their answers.
func (o *owner) execute(ctx context.Context, w writer, batch []*pending) (unresolved []*pending, failure error) {
	u := &unit{o: o, now: o.clock().UnixMilli(), overlay: make(map[string]*overlaid)}
	for _, p := range batch {
		u.decide(p)
	}
	o.metrics.batch.WithLabelValues(o.typ.Name()).Observe(float64(len(batch)))
	if len(u.outcomes) == 0 {
		return nil, u.damage // only repeated answers and failures: nothing to confirm
	}
	start := o.clock()
	answers, err := u.commit(ctx, w)
	o.metrics.commit.WithLabelValues(o.typ.Name()).Observe(o.clock().Sub(start).Seconds())

	if err != nil {
		o.become(takingOver, err.Error()) // before anybody gets an answer: who was refused and asks must hear of it
	}
	failed, isOutcome := errors.AsType[*outcomeError](err)
	switch {
	case isOutcome && failed.unknown:
		for _, done := range u.outcomes {
			unresolved = append(unresolved, done.p)
		}
		return unresolved, err
	case isOutcome:
		for _, done := range u.outcomes {
			o.fail(done.p, notExecuted())
		}
		return nil, err
	}
	// Committed. An error is one of the local store, which the takeover mends; the answers are true all the same.
	o.mu.Lock()
	o.mu.commits++
	o.mu.batch = len(u.outcomes)
	o.mu.Unlock()
	for i, done := range u.outcomes {
		o.finish(done.p, answers[i])
	}
	return nil, errors.Join(err, u.damage)
}

// unreadable answers a command that met an unreadable store. A store that is damaged ends the owner's turn: the
// takeover mends it.
func (u *unit) unreadable(p *pending, err error) {
	if errors.Is(err, pebblestore.ErrCorrupt) {
		u.damage = err
	}
	u.o.fail(p, incident(u.o.log, p.about, err))
}

// decide executes one command on the overlay. Answers that no commit has to confirm are given at once.
func (u *unit) decide(p *pending) {
	if p.key != "" {
		switch stored, found, err := u.o.stored(p); {
		case err != nil:
			u.unreadable(p, err)
			return
		case found && stored.fingerprint != p.fingerprint:
			u.o.fail(p, keyReused())
			return
		case found:
			// What is stored is committed and never changes, so that no fence is needed to repeat it.
			stored.answer.set("Idempotency-Replayed", "true")
			u.o.finish(p, &stored.answer)
			return
		}
	}
	a, err := u.load(p.id)
	if err != nil {
		u.unreadable(p, err)
		return
	}
	if !p.asked.allows(a.version) {
		u.refuse(p, a, versionMismatch(a.version))
		return
	}
	if err := u.apply(p, a); err != nil {
		// Whatever the functions did to the value in memory must not be seen by the next command.
		delete(u.overlay, p.id)
		if a.lastEvent > 0 {
			a.value, err = u.reload(a, err)
			u.overlay[p.id] = a
		}
		if rejection, ok := errors.AsType[*aggregates.Rejection](err); ok {
			u.refuse(p, a, broken(u.o.typ.Name(), rejection).withHeader("Etag", versionTag(a.version)))
			return
		}
		u.o.fail(p, incident(u.o.log, p.about, err))
	}
}

// reload decodes the value of an aggregate again. The error is the given one, unless it fails.
func (u *unit) reload(a *overlaid, cause error) (aggregates.State, error) {
	value, err := u.o.typ.DecodeState(a.state)
	if err != nil {
		return value, errors.Join(cause, err)
	}
	return value, cause
}

// load returns an aggregate as the commands before left it.
func (u *unit) load(id string) (*overlaid, error) {
	if a, ok := u.overlay[id]; ok {
		return a, nil
	}
	a := new(overlaid)
	row, ok, err := u.o.store.Get(nil, snapshotKey(id))
	switch {
	case err != nil:
		return nil, fmt.Errorf("load aggregate %q: %w", id, err)
	case !ok:
		a.value, err = u.o.typ.Initial()
	default:
		if a.snapshot, err = decodeSnapshot(row); err == nil {
			a.value, err = u.o.typ.DecodeState(a.state)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("load aggregate %q: %w", id, err)
	}
	u.overlay[id] = a
	return a, nil
}

// apply lets a command happen to an aggregate, or returns an error and leaves the unit as it was.
func (u *unit) apply(p *pending, a *overlaid) error {
	facts, err := u.o.typ.Decide(a.value, p.command,
		aggregates.Stamp{ID: p.id, Version: a.version, CommandID: p.commandID, Time: u.now})
	if err != nil {
		return err
	}
	value, data := a.value, a.state
	for _, fact := range facts {
		if value, err = u.o.typ.Evolve(value, fact); err != nil {
			return err
		}
		if len(fact.Data) > maxRecordBytes {
			return tooLarge("event "+fact.Type, len(fact.Data))
		}
	}
	if len(facts) > 0 {
		if data, err = u.o.typ.AppendState(nil, value); err != nil {
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
		u.events = append(u.events, u.o.eventRecord(p, fact, event, u.now))
	}
	a.version += int64(len(facts))
	if len(facts) > 0 {
		a.value, a.state, a.lastEvent = value, data, len(u.events)
	}
	reply.Version = a.version
	next := u.position(a)
	u.outcomes = append(u.outcomes, outcome{p, func() *answer { return u.o.success(p, reply, created, next()) }})
	return nil
}

// position returns a function that tells, once the offsets are known, the offset after the last event that an aggregate
// has now; 0 if it has none.
func (u *unit) position(a *overlaid) func() int64 {
	next, lastEvent := a.next, a.lastEvent
	return func() int64 {
		if lastEvent > 0 {
			return u.events[lastEvent-1].Offset + 1
		}
		return next
	}
}

// tooLarge is a failure that is the command's own, and must not become that of the whole transaction.
func tooLarge(what string, size int) error {
	return fmt.Errorf("%s has %d bytes, more than the %d that fit in a record", what, size, maxRecordBytes)
}

// refuse answers a command with a problem that depends on the state of an aggregate, once a commit has confirmed it. The
// answer has a token, too: who was refused may want to read why.
func (u *unit) refuse(p *pending, a *overlaid, problem *Problem) {
	next := u.position(a)
	u.outcomes = append(u.outcomes, outcome{p, func() *answer {
		refusal := problem.answer(p.about)
		if token := u.o.token(next()); token != "" {
			refusal.set("Consistency-Token", token)
		}
		return refusal
	}})
}

// commit writes the unit as one transaction: first the events, since their offsets are part of the answers, then the
// snapshots and the answers. An *outcomeError means that it is not committed, or not known to be; any other error is
// one of the local store after the commit.
func (u *unit) commit(ctx context.Context, w writer) ([]*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, u.o.commitTimeout)
	defer cancel()
	// Without a request to commit nothing can be committed, so up to that point every failure is a definite one.
	definite := func(err error) error { return &outcomeError{err: err} }
	if err := w.Begin(); err != nil {
		return nil, definite(err)
	}
	for _, record := range u.events {
		w.Produce(record, nil)
	}
	if len(u.events) > 0 {
		if err := w.Flush(ctx); err != nil {
			return nil, definite(err)
		}
	}
	answers := make([]*answer, len(u.outcomes))
	for i, done := range u.outcomes {
		answers[i] = done.answer()
	}
	var batch state.Batch
	if err := u.rows(&batch, answers); err != nil {
		return nil, definite(err)
	}
	var last atomic.Int64 // acknowledgements come in order, but on another goroutine
	for op := range batch.Ops() {
		if !op.Local {
			w.Produce(u.o.changelogRecord(op.Key, op.Value, u.now), func(r *kgo.Record) { last.Store(r.Offset) })
		}
	}
	if err := w.Commit(ctx, nil); err != nil {
		return nil, &outcomeError{unknown: true, err: err}
	}
	batch.SetOffset(last.Load())
	if err := u.o.store.Apply(&batch); err != nil {
		return answers, fmt.Errorf("apply committed state to the local store: %w", err)
	}
	return answers, nil
}

// rows collects all rows of the unit. There is at least one that goes to the changelog.
func (u *unit) rows(batch *state.Batch, answers []*answer) error {
	expired, err := u.expire(batch)
	if err != nil {
		return err
	}
	written := expired
	for id, a := range u.overlay {
		if a.lastEvent > 0 {
			a.next = u.events[a.lastEvent-1].Offset + 1
			batch.Set(snapshotKey(id), a.row(u.now))
			written++
		}
	}
	for i, done := range u.outcomes {
		if p := done.p; p.key != "" {
			key, row := resultKey(p.id, p.key), result{timestamp: u.now, fingerprint: p.fingerprint, answer: *answers[i]}.row()
			if err := u.o.index(batch, key, row); err != nil {
				return err
			}
			batch.Set(key, row)
			written++
		}
	}
	if written == 0 {
		batch.Set([]byte(fenceKey), nil) // a transaction without records would prove nothing
	}
	return nil
}

// expire deletes the oldest results whose time is over, a bounded number of them.
func (u *unit) expire(batch *state.Batch) (n int, err error) {
	for row, err := range u.o.store.Scan([]byte(resultIndex), indexKey(u.o.expiry(), nil)) {
		if err != nil {
			return n, fmt.Errorf("expired results: %w", err)
		}
		_, storeKey, err := splitIndexKey(row.Key)
		if err != nil {
			return n, fmt.Errorf("expired results: %w", err)
		}
		batch.DeleteLocal(row.Key)
		batch.Delete(state.AppendRowKey(nil, resultStore, storeKey))
		if n++; n == maxExpired {
			break
		}
	}
	return n, nil
}

// eventRecord renders an event as a CloudEvent in binary mode. Its time is what the event says, or else now.
func (o *owner) eventRecord(p *pending, fact aggregates.Fact, event eventReply, now int64) *kgo.Record {
	timestamp := fact.Time
	if timestamp == aggregates.NoTime {
		timestamp = now
	}
	at := time.UnixMilli(timestamp).UTC()
	header := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
	return &kgo.Record{
		Topic: o.topic, Partition: o.partition, Key: []byte(p.id), Value: fact.Data, Timestamp: at,
		Headers: []kgo.RecordHeader{
			header("ce_specversion", "1.0"),
			header("ce_id", event.ID),
			header("ce_type", fact.Type),
			header("ce_source", o.source),
			header("ce_subject", p.id),
			header("ce_time", at.Format(time.RFC3339Nano)),
			header("ce_commandid", p.commandID),
			header("ce_traceparent", string(p.about.trace)),
			header("content-type", jsonType),
			header("millrace-version", fmt.Sprint(event.Version)),
		},
	}
}

// commandReply is the body of a successful command's answer.
type commandReply struct {
	CommandID        string         `json:"commandId"`
	AggregateID      string         `json:"aggregateId"`
	Version          int64          `json:"version"`
	Events           []eventReply   `json:"events"`
	Position         *positionReply `json:"position"` // of the aggregate's last event; null if it has none
	ConsistencyToken string         `json:"consistencyToken"`
}

type eventReply struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Version int64  `json:"version"`
}

type positionReply struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// token returns the consistency token of an offset of the partition, "" for 0.
func (o *owner) token(next int64) string {
	if next == 0 {
		return ""
	}
	return state.Offsets{{Topic: o.topic, Partition: o.partition}: next}.Token()
}

// success renders the answer of an accepted command. next is the offset after the last event of the aggregate, 0 if
// there is none.
func (o *owner) success(p *pending, reply commandReply, created bool, next int64) *answer {
	a := &answer{status: http.StatusOK}
	if next > 0 {
		reply.Position = &positionReply{o.topic, o.partition, next - 1}
		reply.ConsistencyToken = o.token(next)
		a.set("Consistency-Token", reply.ConsistencyToken)
	}
	if created {
		a.status = http.StatusCreated
		a.set("Location", p.location)
	}
	a.set("Content-Type", jsonType)
	a.set("Cache-Control", "no-store")
	a.set("Etag", versionTag(reply.Version))
	body, err := marshal(reply)
	if err != nil { // strings and numbers: cannot happen, and the command is about to be committed
		o.log.Error("cannot render an answer", slog.Any("error", err))
	}
	a.body = body
	return a
}
