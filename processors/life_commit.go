package processors

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/internal/invariants"
	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/state"
)

// commitSize is the size of the commit under way.
type commitSize struct {
	records int64 // input records processed
	bytes   int64 // keys and values sent to other topics
}

// commitDue says whether the open commit must end: its time is over, it has grown to its limits, the caches of the
// instance are full of what is not committed, a processor has asked for it, or each unit is committed by itself after a
// failure.
func (l *life) commitDue() bool {
	cfg := &l.inst.cfg
	return l.singleUnits > 0 || l.operators.CommitRequested() || l.uncommitted.records >= cfg.CommitRecords ||
		l.uncommitted.bytes+l.operators.DirtyBytes() >= cfg.CommitBytes ||
		!time.Now().Before(l.due) || l.inst.memory.cache.CommitDue()
}

// commit makes everything since the last commit final:
//
//  1. outputs that operators held back until now, and dirty state (the last value of each key, to the changelog); all
//     other outputs are on their way already
//  2. marks to the repartition topics and the position record to the changelog: what all of this reflects
//  3. flush, the input offsets, end of the transaction
//  4. one batch to the engine: rows and changelog offset together
//
// With ExactlyOnce, 1 to 3 are one transaction. With AtLeastOnce there is no transaction: what 1 wrote is acknowledged
// before 2, and the position record before the offsets, so a task that dies in between repeats work and loses none.
//
// Nothing reaches the engine before Kafka has confirmed. A task that dies before 4 finds in the changelog what its
// state lacks. With ExactlyOnce, a task that dies before the end of 3 leaves nothing.
func (l *life) commit(ctx context.Context, sessions *broker.Sessions) (err error) {
	if invariants.Enabled {
		l.guard.Enter("I5", "a task")
		defer l.guard.Exit()
	}
	start := time.Now()
	l.stats.activity.Enter(observe.ActivityCommit, start)
	span := l.spans.start(TraceCommit, l.spans.transaction)
	defer func() { endSpan(&span, err) }()

	fault.Point("commit.begin")
	if err := l.writer.Confirm(ctx); err != nil {
		return err
	}
	if err := l.flush(); err != nil {
		return l.attributeRefusal(err)
	}
	fault.Point("commit.flushed")
	l.progress.advance(l.inputs.all)
	l.progress.recordTimes(l.operators)
	l.identity.add(&l.batch)
	l.produceRows()
	l.produceMarks()
	fault.Point("commit.rows")
	if err := l.writer.Barrier(ctx); err != nil {
		return err
	}
	l.producePosition()
	fault.Point("commit.produced")
	l.note()
	l.outcome = outcomeUnknown
	if err := l.writer.Commit(ctx, l.progress.position.Direct); err != nil {
		return l.attributeRefusal(err)
	}
	l.outcome = outcomeCommitted
	l.progress.committed()

	fault.Point("commit.confirmed")
	if invariants.Enabled {
		l.checkCommit()
	}
	l.batch.SetOffset(l.changelogLast.Load())
	if err := l.table.part.Apply(&l.batch); err != nil {
		return err
	}
	fault.Point("commit.applied")
	l.operators.Committed()
	sessions.Acknowledge()
	l.open = false
	l.committed()
	now := time.Now()
	l.stats.recordCommit(now.Sub(start), l.batch.Len(), l.operators)
	l.stats.activity.Enter(observe.ActivityWait, now)
	if span != nil {
		span.Count("rows", int64(l.batch.Len()))
	}
	endSpan(&l.spans.transaction, nil)
	return nil
}

// flush fills the batch with the rows of the operators' dirty state. What the operators send here may come from any
// record since the last commit, so no record is current.
func (l *life) flush() error {
	l.batch.Reset()
	current := l.current
	l.current = nil
	err := l.operators.Flush(&l.batch)
	l.current = current
	return err
}

// committed notes that everything up to here is committed.
func (l *life) committed() {
	l.identity.written()
	l.inputs.committed()
	for _, in := range l.inputs.all {
		l.groupOffsets[in.topic] = in.from
	}
	l.units, l.uncommitted = 0, commitSize{}
	if l.singleUnits > 0 {
		l.singleUnits--
	}
	l.faults.bisection.grow()
	l.settleFaults()
}

// produceRows sends the rows of the batch to the changelog.
func (l *life) produceRows() {
	topic := l.plan.sub.TableTopic()
	changelog := l.stats.output(topic)
	for op := range l.batch.Ops() {
		if !op.Local {
			changelog.add(op.Key, op.Value)
			rec := l.writer.Record(nil)
			rec.Topic, rec.Partition, rec.Key, rec.Value = topic, l.partition, op.Key, op.Value
			l.writer.Send(rec, l.rowAcked)
		}
	}
}

// produceMarks sends marks to the repartition topics for which they have changed.
func (l *life) produceMarks() {
	for _, topic := range l.plan.marks {
		m, changed := l.progress.changedMark(topic, l.timeFor(topic))
		if !changed {
			continue
		}
		for _, rec := range markRecords(topic, l.plan.outputs[topic], l.partition, m) {
			l.writer.Produce(rec, nil)
		}
	}
}

// producePosition adds the position record, the last row of every commit.
func (l *life) producePosition() {
	topic := l.plan.sub.TableTopic()
	key, value := []byte(state.PositionKey), l.progress.position.Append(nil)
	l.batch.Set(key, value)
	l.stats.output(topic).add(key, value)
	l.writer.Send(&kgo.Record{Topic: topic, Partition: l.partition, Key: key, Value: value}, l.rowAcked)
}

// recordAck keeps the highest changelog offset: the engine's state will reflect the changelog up to it.
func (l *life) recordAck(rec *kgo.Record) {
	for {
		last := l.changelogLast.Load()
		if rec.Offset <= last || l.changelogLast.CompareAndSwap(last, rec.Offset) {
			return
		}
	}
}
