package processors

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/internal/invariants"
	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/topology/engine"
)

// work processes and commits until the task is stopping or something fails.
func (l *life) work(ctx context.Context, sessions *broker.Sessions) error {
	if err := l.commitStart(ctx, sessions); err != nil {
		return err
	}
	if l.progress.derivedChanged() || l.identity.dropsInputs {
		if err := l.openTransaction(); err != nil {
			return err
		}
	}
	for {
		if l.group.paused() {
			if err := l.waitWhilePaused(ctx, sessions); err != nil {
				return err
			}
		}
		if err := l.betweenUnits(ctx); err != nil {
			if err := l.handleFault(ctx, err); err != nil {
				return err
			}
			continue
		}
		if err := l.releaseIdle(ctx); err != nil {
			if err := l.handleFault(ctx, err); err != nil {
				return err
			}
			continue
		}
		l.inputs.limit = l.unitLimit()
		if err := l.align(ctx); err != nil {
			return err
		}
		wait, err := l.inputs.next(ctx, &l.unit)
		if err != nil {
			return err
		}
		if len(l.unit.records) > 0 {
			if err := l.holdStaleIdle(ctx); err != nil {
				return err
			}
			if err := l.deliver(sessions); err != nil {
				if err := l.handleFault(ctx, err); err != nil {
					return err
				}
				continue
			}
		}
		stopping := l.task.isStopping()
		if l.open && (stopping || l.commitDue()) {
			if err := l.classify(l.operators.Drain()); err != nil {
				if err := l.handleFault(ctx, err); err != nil {
					return err
				}
				continue
			}
			if err := l.commit(ctx, sessions); err != nil {
				return err
			}
		}
		if stopping {
			return nil
		}
		rest, err := l.declareIdle(ctx)
		if err != nil {
			if err := l.handleFault(ctx, err); err != nil {
				return err
			}
			continue
		}
		if len(l.unit.records) > 0 {
			continue
		}
		if err := l.noteGap(); err != nil {
			return err
		}
		if err := l.idle(ctx, soonest(wait, rest, l.nextLook())); err != nil {
			return err
		}
	}
}

// soonest returns the shortest of some times to wait, of which 0 means no time.
func soonest(waits ...time.Duration) (first time.Duration) {
	for _, w := range waits {
		if w > 0 && (first == 0 || w < first) {
			first = w
		}
	}
	return first
}

// waitWhilePaused commits what is open and waits until the group is resumed or the task is stopping.
func (l *life) waitWhilePaused(ctx context.Context, sessions *broker.Sessions) error {
	if l.open {
		if err := l.classify(l.operators.Drain()); err != nil {
			return err
		}
		if err := l.commit(ctx, sessions); err != nil {
			return err
		}
	}
	l.stats.live.drops.log(l.logger, time.Now(), true)
	l.task.enter(taskPaused)
	for l.group.paused() {
		select {
		case <-l.task.ready:
		case <-l.task.stopping:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	l.idleTime.restart(time.Now())
	l.waits.restart() // it was this task that told nothing
	l.task.enter(taskRunning)
	return nil
}

// idle waits until there may be something to do: data, a commit that is due, something scheduled for the wall clock,
// drops to be logged, the end of an idle time (after wait; 0 for none), or the end of the task.
func (l *life) idle(ctx context.Context, wait time.Duration) error {
	l.stats.publish(l, true)
	l.stats.live.drops.log(l.logger, time.Now(), false)
	until := func(at time.Time) {
		left := max(time.Until(at), time.Millisecond)
		if wait == 0 || left < wait {
			wait = left
		}
	}
	if l.open {
		until(l.due)
	}
	if due, ok := l.operators.WallClockDue(); ok {
		until(l.told.Add(observe.Millis(due - l.told.UnixMilli()))) // the wall clock may have been set since
	}
	if left, ok := l.operators.IdleDue(); ok {
		until(l.idleTime.due(observe.Millis(left)))
	}
	if due, ok := l.stats.live.drops.due(); ok {
		until(due)
	}
	var alarm <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-l.task.ready:
	case <-alarm:
	case <-l.task.stopping:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// openTransaction begins the transaction that the next commit ends, unless it is open already.
func (l *life) openTransaction() error {
	if l.open {
		return nil
	}
	if err := l.writer.Begin(); err != nil {
		return err
	}
	l.open, l.outcome = true, outcomeAborted
	l.spans.transaction = l.spans.start(TraceTransaction, nil)
	l.due = time.Now().Add(l.inst.cfg.CommitInterval)
	return nil
}

// betweenUnits does the work that no input record triggers: it forwards the results of calls that have ended, and tells
// the operators for how long the inputs have been idle, and the wall clock, which may make them act. It runs on the
// task's own goroutine: between two units goka's goroutine does not use the task, and no message of goka's triggers
// this work.
//
// The first output begins the transaction (sink.Send). Without output, a change of state or a running call begins it. A
// punctuation that does nothing costs nothing.
func (l *life) betweenUnits(ctx context.Context) error {
	if invariants.Enabled {
		l.guard.Enter("I5", "a task")
		defer l.guard.Exit()
	}
	if err := l.classify(l.operators.Poll()); err != nil {
		return err
	}
	if err := l.advanceIdle(ctx); err != nil {
		return err
	}
	l.told = time.Now()
	now := l.told.UnixMilli()
	if due, ok := l.operators.WallClockDue(); ok && due <= now {
		l.current = nil
	}
	if err := l.classify(l.operators.AdvanceWallClock(now)); err != nil {
		return err
	}
	if !l.open && (l.operators.Changed() || l.operators.InFlight() > 0) {
		return l.openTransaction()
	}
	return nil
}

// deliver hands the unit to goka, whose partition goroutine runs process.
func (l *life) deliver(sessions *broker.Sessions) error {
	if err := l.openTransaction(); err != nil {
		return err
	}
	l.units++
	fault.Point("task.unit")
	before := l.stats.records.Load()
	start, n := time.Now(), len(l.unit.records)
	last := l.unit.records[n-1].record
	l.stats.activity.Enter(observe.ActivityProcess, start)
	err := sessions.Deliver(last.Topic, last.Offset, last.Timestamp, &l.unit)
	end := time.Now()
	if err != nil || l.stats.records.Load() > before {
		l.idleTime.restart(end)
	}
	l.stats.activity.Enter(observe.ActivityWait, end)
	l.stats.publish(l, false)
	l.stats.live.drops.log(l.logger, end, false)
	l.unitSize.record(n, end.Sub(start))
	l.uncommitted.records += int64(n)
	return err
}

// process runs a unit through the operators, on goka's goroutine.
func (l *life) process(u *unit) (err error) {
	if invariants.Enabled {
		l.guard.Enter("I5", "a task")
		defer l.guard.Exit()
	}
	inputs := l.plan.inputs
	traced := l.spans.tracer != nil
	if traced {
		l.spans.beginUnit(len(u.records))
		defer func() { endSpan(&l.spans.unit, err) }()
	}
	now := time.Now().UnixMilli()
	var raw engine.RawRecord
	records := 0 // without marks
	l.current = nil
	for _, r := range u.records {
		if len(l.faults.records) > 0 && l.faults.skips(r.record) {
			continue
		}
		var err error
		if inputs[r.input].Repartition && isMark(r.record) {
			l.current = nil
			err = l.recordMark(r.record)
		} else {
			records++
			l.current = r.record
			l.stats.recordInput(r.input, r.record, now)
			raw = rawRecord(r.record)
			var span Span
			if traced {
				span = l.spans.record(r.record, &raw)
			}
			err = l.operators.Process(r.input, &raw)
			endSpan(&span, err)
		}
		if err == nil {
			continue
		}
		failed := r.record
		if l.current != nil { // may be the record of a call that has ended
			failed = l.current
		}
		f, ok := newRecordFault(failed, err)
		if !ok {
			return fmt.Errorf("process %s/%d offset %d: %w", r.record.Topic, r.record.Partition, r.record.Offset, err)
		}
		l.attribute(f)
		if f.untouched() && f.verdict == skipRecord {
			continue // nothing was done yet
		}
		return f
	}
	l.stats.records.Add(int64(records))
	return nil
}

func rawRecord(r *kgo.Record) engine.RawRecord {
	return engine.RawRecord{
		Key: r.Key, Value: r.Value, Timestamp: broker.RecordTime(r), Offset: r.Offset, Headers: rawHeaders(r.Headers),
	}
}

func rawHeaders(headers []kgo.RecordHeader) []engine.Header {
	if len(headers) == 0 {
		return nil
	}
	raw := make([]engine.Header, len(headers))
	for i, h := range headers {
		raw[i] = engine.Header{Key: h.Key, Value: h.Value}
	}
	return raw
}

// recordDrop counts and reports a record that an operator dropped.
func (l *life) recordDrop(drop engine.Drop) {
	l.stats.live.drops.record(drop)
	if hook := l.inst.cfg.Hooks.Dropped; hook != nil {
		hook(l.plan.sub.Group(), drop)
	}
}
