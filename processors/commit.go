package processors

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/internal/murmur2"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// commit makes everything since the last commit final, in one transaction:
//
//  1. dirty state, the last value of each key, to the changelog; outputs are in the transaction already
//  2. marks to the repartition topics and the position record to the changelog: what all of this reflects
//  3. flush, the input offsets, end of the transaction
//  4. one batch to the engine: rows and changelog offset together
//
// Nothing reaches the engine before Kafka has confirmed: a task that dies before 4 finds in the changelog what it
// lacks, and a task that dies before 3 is over leaves nothing.
func (t *task) commit(ctx context.Context, sessions *broker.Sessions) (err error) {
	l := t.life
	start := time.Now()
	t.stats.activity.enter(activityCommit, start)
	span := t.spans.start(TraceCommit, t.spans.transaction)
	defer func() { endSpan(&span, err) }()
	sub := t.group.plan.sub

	fault.Point("commit.begin")
	l.batch.Reset()
	if err := l.task.Flush(&l.batch); err != nil {
		return t.refused(err)
	}
	fault.Point("commit.flushed")
	l.progress.advance(l.inputs.all)
	l.progress.position.StreamTime = l.task.StreamTime()
	l.identity.add(&l.batch)
	l.batch.Set([]byte(state.PositionKey), l.progress.position.Append(nil))

	changelog := t.stats.output(sub.TableTopic())
	for op := range l.batch.Ops() {
		if !op.Local {
			changelog.add(op.Key, op.Value)
			l.writer.Produce(&kgo.Record{Topic: sub.TableTopic(), Partition: t.partition, Key: op.Key, Value: op.Value}, l.acked)
		}
	}
	if len(t.group.plan.marks) > 0 {
		for _, topic := range t.group.plan.marks {
			token := l.progress.mark(topic).Token()
			for _, rec := range markRecords(topic, t.group.plan.outputs[topic], t.partition, token) {
				l.writer.Produce(rec, nil)
			}
		}
	}
	fault.Point("commit.produced")
	l.outcome = outcomeUnknown
	if err := l.writer.Commit(ctx, l.progress.position.Direct); err != nil {
		return t.refused(err)
	}
	l.outcome = outcomeCommitted

	fault.Point("commit.confirmed")
	l.batch.SetOffset(l.last.Load())
	if err := t.table.part.Apply(&l.batch); err != nil {
		return err
	}
	fault.Point("commit.applied")
	l.task.Committed()
	sessions.Acknowledge()
	l.open = false
	t.settled()
	now := time.Now()
	t.stats.committed(now.Sub(start), l.batch.Len(), l.task)
	t.stats.activity.enter(activityWait, now)
	if span != nil {
		span.Count("rows", int64(l.batch.Len()))
	}
	endSpan(&t.spans.transaction, nil)
	return nil
}

// acked remembers the highest changelog offset: the engine's state will reflect the changelog up to it.
func (l *life) acked(rec *kgo.Record) {
	for {
		last := l.last.Load()
		if rec.Offset <= last || l.last.CompareAndSwap(last, rec.Offset) {
			return
		}
	}
}

// sink sends a task's outputs through its writer, into the open transaction.
type sink struct {
	life  *life
	plan  *groupPlan
	stats *taskStats

	topic string // of the last record, and what counts its records
	out   *outputTally
}

// Send partitions by key like Kafka's default partitioner; records without a key take turns.
func (s *sink) Send(topic string, r topology.RawRecord) error {
	rec := &kgo.Record{
		Topic: topic, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp),
		Context: origin{s.life.current},
	}
	n := s.plan.outputs[topic]
	switch {
	case r.PartitionKey != nil:
		rec.Partition = murmur2.Partition(r.PartitionKey, n)
	case r.Key != nil:
		rec.Partition = murmur2.Partition(r.Key, n)
	default:
		rec.Partition = s.life.sent[topic]
		s.life.sent[topic] = (rec.Partition + 1) % n
	}
	if len(r.Headers) > 0 {
		rec.Headers = make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			rec.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
	if s.out == nil || s.topic != topic {
		s.topic, s.out = topic, s.stats.output(topic)
	}
	s.out.add(r.Key, r.Value)
	s.out.open.add(r.Timestamp)
	s.life.writer.Produce(rec, nil)
	return nil
}
