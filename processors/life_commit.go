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

// commitSize is what has come together since the last commit.
type commitSize struct {
	records int64 // input records processed
	bytes   int64 // keys and values sent to other topics
}

// unitLimit returns how many records the next unit may have.
func (t *task) unitLimit() int {
	limit := int(min(int64(t.pace.limit()), t.group.app.cfg.CommitRecords-t.life.size.records))
	if search := t.trouble.search.limit; search > 0 {
		limit = min(limit, search)
	}
	return limit
}

// commitDue says whether the open commit may take no more: its time is over, it has grown to its limits, the caches of
// the instance are full of what is not committed, a processor has asked for it, or the task is careful after a failure.
func (t *task) commitDue() bool {
	l, cfg := t.life, &t.group.app.cfg
	return l.careful > 0 || l.task.CommitRequested() || l.size.records >= cfg.CommitRecords ||
		l.size.bytes+l.task.DirtyBytes() >= cfg.CommitBytes ||
		!time.Now().Before(l.due) || t.group.app.memory.cache.CommitDue()
}

// commit makes everything since the last commit final:
//
//  1. what operators held back until now; dirty state, the last value of each key, to the changelog; other outputs are on
//     their way already
//  2. marks to the repartition topics and the position record to the changelog: what all of this reflects
//  3. flush, the input offsets, end of the transaction
//  4. one batch to the engine: rows and changelog offset together
//
// Exactly once, all of 1 to 3 is one transaction. At least once there is none: what 1 wrote is acknowledged before 2, and
// the position record before the offsets, so that a task that dies in between repeats work and loses none.
//
// Nothing reaches the engine before Kafka has confirmed: a task that dies before 4 finds in the changelog what it
// lacks, and, exactly once, a task that dies before 3 is over leaves nothing.
func (t *task) commit(ctx context.Context, sessions *broker.Sessions) (err error) {
	l := t.life
	start := time.Now()
	t.stats.activity.enter(activityCommit, start)
	span := t.spans.start(TraceCommit, t.spans.transaction)
	defer func() { endSpan(&span, err) }()

	fault.Point("commit.begin")
	if err := l.writer.Confirm(ctx); err != nil {
		return err
	}
	l.batch.Reset()
	// What the task sends now comes from any of the records since the last commit.
	current := l.current
	l.current = nil
	err = l.task.Flush(&l.batch)
	l.current = current
	if err != nil {
		return t.refused(err)
	}
	fault.Point("commit.flushed")
	l.progress.advance(l.inputs.all)
	l.progress.position.StreamTime = l.task.StreamTime()
	l.identity.add(&l.batch)
	t.produceRows()
	for _, topic := range t.plan.marks {
		token, ok := l.progress.news(topic)
		if !ok {
			continue
		}
		for _, rec := range markRecords(topic, t.plan.outputs[topic], t.partition, token) {
			l.writer.Produce(rec, nil)
		}
	}
	fault.Point("commit.rows")
	if err := l.writer.Barrier(ctx); err != nil {
		return err
	}
	t.producePosition()
	fault.Point("commit.produced")
	l.outcome = outcomeUnknown
	if err := l.writer.Commit(ctx, l.progress.position.Direct); err != nil {
		return t.refused(err)
	}
	l.outcome = outcomeCommitted
	l.progress.committed()

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

// settled notes that everything up to here is committed.
func (t *task) settled() {
	l := t.life
	l.identity.written()
	l.inputs.committed()
	for _, in := range l.inputs.all {
		l.offsets[in.topic] = in.from
	}
	l.units, l.size = 0, commitSize{}
	if l.careful > 0 {
		l.careful--
	}
	t.trouble.search.succeeded()
	t.passed(l.inputs.all)
}

// produceRows sends the rows of the batch to the changelog.
func (t *task) produceRows() {
	l := t.life
	topic := t.plan.sub.TableTopic()
	changelog := t.stats.output(topic)
	for op := range l.batch.Ops() {
		if !op.Local {
			changelog.add(op.Key, op.Value)
			rec := l.writer.Record(nil)
			rec.Topic, rec.Partition, rec.Key, rec.Value = topic, t.partition, op.Key, op.Value
			l.writer.Send(rec, l.logged)
		}
	}
}

// producePosition adds the position record, the last row of every commit.
func (t *task) producePosition() {
	l := t.life
	key, value := []byte(state.PositionKey), l.progress.position.Append(nil)
	l.batch.Set(key, value)
	t.stats.output(t.plan.sub.TableTopic()).add(key, value)
	l.writer.Send(&kgo.Record{Topic: t.plan.sub.TableTopic(), Partition: t.partition, Key: key, Value: value}, l.logged)
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
	// ask asks the cluster for the number of partitions of a topic, and chosen has its answers: about the topics that records
	// choose, which are not in the plan.
	ask    func(topic string) (int32, error)
	chosen map[string]int32
	begin  func() error // a transaction, if none is open

	topic string // of the last record, and what counts its records
	out   *outputTally
}

// partitions returns the number of partitions of a topic that is written to. A topic that is missing is looked for at every
// record: it may have been created.
func (s *sink) partitions(topic string) (int32, error) {
	if n, ok := s.plan.outputs[topic]; ok {
		return n, nil
	}
	if n, ok := s.chosen[topic]; ok {
		return n, nil
	}
	n, err := s.ask(topic)
	if err != nil {
		return 0, err
	}
	if s.chosen == nil {
		s.chosen = make(map[string]int32)
	}
	s.chosen[topic] = n
	return n, nil
}

// Send puts the record where the topology wants it, or else partitions by key like Kafka's default partitioner; records
// without a key take turns.
func (s *sink) Send(topic string, r topology.RawRecord) error {
	n, err := s.partitions(topic)
	if err != nil {
		return err
	}
	if err := s.begin(); err != nil {
		return err
	}
	rec := s.life.writer.Record(s.life.current)
	rec.Topic, rec.Key, rec.Value, rec.Timestamp = topic, r.Key, r.Value, time.UnixMilli(r.Timestamp)
	switch {
	case r.Pinned:
		rec.Partition = r.Partition
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
	s.life.size.bytes += int64(len(r.Key) + len(r.Value))
	if s.out == nil || s.topic != topic {
		s.topic, s.out = topic, s.stats.output(topic)
	}
	s.out.add(r.Key, r.Value)
	s.out.open.add(r.Timestamp)
	s.life.writer.Produce(rec, nil)
	return nil
}
