package processors

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/topology"
)

// work processes and commits until the task is stopping or something fails.
func (t *task) work(ctx context.Context, sessions *broker.Sessions) error {
	l := t.life
	if err := t.commitStart(func() error { return t.commit(ctx, sessions) }); err != nil {
		return err
	}
	if l.progress.outdated() || l.identity.forgets {
		if err := t.openTransaction(); err != nil {
			return err
		}
	}
	for {
		if t.group.paused() {
			if err := t.rest(ctx, func() error {
				if err := t.judge(l.task.Drain()); err != nil {
					return err
				}
				return t.commit(ctx, sessions)
			}); err != nil {
				return err
			}
		}
		if err := t.meanwhile(); err != nil {
			if err := t.overcome(ctx, err); err != nil {
				return err
			}
			continue
		}
		l.inputs.limit = t.unitLimit()
		wait, err := l.inputs.next(ctx, &l.unit)
		if err != nil {
			return err
		}
		if len(l.unit.records) > 0 {
			if err := t.deliver(sessions); err != nil {
				if err := t.overcome(ctx, err); err != nil {
					return err
				}
				continue
			}
		}
		stopping := t.isStopping()
		if l.open && (stopping || t.commitDue()) {
			if err := t.judge(l.task.Drain()); err != nil {
				if err := t.overcome(ctx, err); err != nil {
					return err
				}
				continue
			}
			if err := t.commit(ctx, sessions); err != nil {
				return err
			}
		}
		if stopping {
			return nil
		}
		if len(l.unit.records) > 0 {
			continue
		}
		if err := t.idle(ctx, wait); err != nil {
			return err
		}
	}
}

// idle waits until there may be something to do: data, a commit that is due, something that waits for the wall clock, an
// idle time that is over (wait, 0 for none), or the end.
func (t *task) idle(ctx context.Context, wait time.Duration) error {
	t.stats.publish(t.life)
	until := func(at time.Time) {
		left := max(time.Until(at), time.Millisecond)
		if wait == 0 || left < wait {
			wait = left
		}
	}
	if t.life.open {
		until(t.life.due)
	}
	if due, ok := t.life.task.WallClockDue(); ok {
		until(time.UnixMilli(due))
	}
	var alarm <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-t.stats.ready:
	case <-alarm:
	case <-t.stopping:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// openTransaction begins what the next commit ends, unless it is begun already.
func (t *task) openTransaction() error {
	l := t.life
	if l.open {
		return nil
	}
	if err := l.writer.Begin(); err != nil {
		return err
	}
	l.open, l.outcome = true, outcomeAborted
	t.spans.transaction = t.spans.start(TraceTransaction, nil)
	l.due = time.Now().Add(t.group.app.cfg.CommitInterval)
	return nil
}

// meanwhile does what no input record leads to: it forwards the results of calls that have ended, and tells the topology the
// time, which may make it do something. It runs on the task's own goroutine: between two units goka's has nothing of the task,
// and it could do nothing with work that no message of it leads to.
//
// The transaction is begun by the first output (sink.Send) or, if there is none, for what has changed; a punctuation that did
// nothing costs nothing.
func (t *task) meanwhile() error {
	l := t.life
	if err := t.judge(l.task.Poll()); err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	if due, ok := l.task.WallClockDue(); ok && due <= now {
		l.current = nil
	}
	if err := t.judge(l.task.AdvanceWallClock(now)); err != nil {
		return err
	}
	if !l.open && (l.task.Changed() || l.task.InFlight() > 0) {
		return t.openTransaction()
	}
	return nil
}

// judge makes a fault of an error that a record is to blame for, or a punctuation, and decides what comes of it.
func (t *task) judge(err error) error {
	if err == nil {
		return nil
	}
	f, ok := newRecordFault(t.life.current, err)
	if !ok {
		return err
	}
	t.blame(f)
	return f
}

// deliver hands the unit to goka, whose partition goroutine runs process.
func (t *task) deliver(sessions *broker.Sessions) error {
	l := t.life
	if err := t.openTransaction(); err != nil {
		return err
	}
	l.units++
	fault.Point("task.unit")
	start, n := time.Now(), len(l.unit.records)
	last := l.unit.records[n-1].record
	t.stats.activity.enter(activityProcess, start)
	err := sessions.Deliver(last.Topic, last.Offset, last.Timestamp, &l.unit)
	end := time.Now()
	t.stats.activity.enter(activityWait, end)
	t.stats.publish(l)
	t.pace.took(n, end.Sub(start))
	l.size.records += int64(n)
	return err
}

// process runs a unit through the topology. It is called by goka.
func (t *task) process(work any) (err error) {
	u, ok := work.(*unit)
	if !ok {
		return fmt.Errorf("goka delivered %T", work)
	}
	l := t.life
	inputs := t.plan.inputs
	traced := t.spans.tracer != nil
	if traced {
		t.spans.beginUnit(len(u.records))
		defer func() { endSpan(&t.spans.unit, err) }()
	}
	now := time.Now().UnixMilli()
	var raw topology.RawRecord
	records := 0 // marks are none
	l.current = nil
	for _, r := range u.records {
		if len(t.trouble.records) > 0 && t.trouble.skips(r.record) {
			continue
		}
		var err error
		if inputs[r.input].Repartition && isMark(r.record) {
			l.current = nil
			err = l.progress.heard(r.record)
		} else {
			records++
			l.current = r.record
			t.stats.took(r.input, r.record, now)
			raw = rawRecord(r.record)
			var span Span
			if traced {
				span = t.spans.record(r.record, &raw)
			}
			err = l.task.Process(r.input, &raw)
			endSpan(&span, err)
		}
		if err == nil {
			continue
		}
		failed := r.record
		if l.current != nil { // that of a call that has ended, maybe
			failed = l.current
		}
		f, ok := newRecordFault(failed, err)
		if !ok {
			return fmt.Errorf("process %s/%d offset %d: %w", r.record.Topic, r.record.Partition, r.record.Offset, err)
		}
		t.blame(f)
		if f.kind == UndecodableRecord && f.verdict == skipRecord {
			continue // nothing was done yet
		}
		return f
	}
	t.stats.records.Add(int64(records))
	return nil
}

func rawRecord(r *kgo.Record) topology.RawRecord {
	return topology.RawRecord{
		Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli(), Offset: r.Offset, Headers: rawHeaders(r.Headers),
	}
}

func rawHeaders(headers []kgo.RecordHeader) []topology.Header {
	if len(headers) == 0 {
		return nil
	}
	raw := make([]topology.Header, len(headers))
	for i, h := range headers {
		raw[i] = topology.Header{Key: h.Key, Value: h.Value}
	}
	return raw
}

func (t *task) dropped(drop topology.Drop) {
	t.stats.drop(drop.Reason)
	if hook := t.group.app.cfg.Hooks.Dropped; hook != nil {
		hook(t.plan.sub.Group(), drop)
	}
}
