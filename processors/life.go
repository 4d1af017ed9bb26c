package processors

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// life is what a task has between a takeover and the end of its session.
type life struct {
	task     *topology.Task
	writer   *broker.Writer
	inputs   *inputs
	progress *progress
	batch    state.Batch
	unit     unit
	open     bool      // a transaction is open
	outcome  outcome   // of the open transaction, if it ended now
	due      time.Time // when it must be committed
	size     commitSize
	last     atomic.Int64     // changelog offset acknowledged last
	logged   broker.Promise   // of changelog records
	sent     map[string]int32 // next partition for records without a key, by topic
	identity pendingIdentity
	offsets  map[string]int64 // of the group, by input, as of the last commit

	chosen  bool        // where it begins to read depends on when, and is not committed
	calls   *executor   // of asynchronous operators
	current *kgo.Record // the input record that is processed
	units   int         // delivered since the last commit
	careful int         // commits for which each unit is one, see carefulCommits
}

// begin makes what a life needs from the restored state and the committed offsets.
func (t *task) begin(ctx context.Context, writer *broker.Writer, offsets map[string]int64, who identity) (*life, error) {
	sub := t.plan.sub
	position, err := t.restoredPosition(offsets, writer.MayDiffer)
	if err != nil {
		return nil, err
	}
	identity, err := t.identify(who)
	if err != nil {
		return nil, err
	}
	l := &life{
		writer: writer, progress: newProgress(t.plan, t.partition, position), sent: make(map[string]int32), identity: identity,
		offsets: maps.Clone(offsets),
	}
	l.last.Store(-1)
	if len(t.trouble.records) > 0 || t.trouble.search.limit > 0 {
		l.careful = carefulCommits
	}
	l.logged = writer.Promise(l.acked)
	out := &sink{life: l, plan: t.plan, stats: &t.stats, begin: t.openTransaction, ask: func(topic string) (int32, error) {
		return t.group.app.client.Partitions(ctx, topic)
	}}
	l.calls = newExecutor(ctx, l, t)
	l.task, err = sub.NewTask(topology.TaskConfig{
		Partition: t.partition, State: t.table.part, Budget: t.group.app.memory.cache,
		Sink: out, Partitions: out.partitions, Globals: t.group.app.globals().rows,
		OnDrop:    t.dropped,
		WallClock: time.Now().UnixMilli(), Context: ctx, PassOver: t.trouble.passesOver, Executor: l.calls,
	})
	if err != nil {
		return nil, err
	}
	l.task.SetStreamTime(position.StreamTime)

	ready := t.stats.ready
	l.inputs = &inputs{maxIdle: t.group.app.cfg.MaxTaskIdle, now: time.Now, end: func(ctx context.Context, topic string) (int64, error) {
		return t.group.app.client.CommittedEnd(ctx, topic, t.partition)
	}}
	for i, in := range t.plan.inputs {
		if !t.plan.reads(in.Topic, t.partition) {
			continue
		}
		from, ok := position.Direct[state.TopicPartition{Topic: in.Topic, Partition: t.partition}]
		if !ok {
			from = offsets[in.Topic]
		}
		if from < 0 { // never read
			if from, err = t.firstOffset(ctx, in); err != nil {
				l.close()
				return nil, err
			}
			l.chosen = l.chosen || in.Start.Kind != topology.StartEarliest
		}
		l.inputs.all = append(l.inputs.all, &input{
			index: i, topic: in.Topic, next: from, from: from, feed: t.group.reads.Add(in.Topic, t.partition, from, ready),
			stamp: l.stamp(i), time: l.task.PartitionTime(i), stampedFrom: l.task.PartitionTime(i),
		})
	}
	t.stats.publish(l)
	t.passed(l.inputs.all) // the last commit of the life before may have succeeded without an answer
	return l, nil
}

// stamp returns what tells the timestamps of an input before they are processed, nil if they are those of Kafka, or if there is
// no choice to be made with them.
func (l *life) stamp(input int) func(rec *kgo.Record, partitionTime int64) int64 {
	if len(l.progress.plan.inputs) == 1 || !l.task.Timestamped(input) {
		return nil
	}
	return func(rec *kgo.Record, partitionTime int64) int64 {
		raw := rawRecord(rec)
		return l.task.Timestamp(input, &raw, partitionTime)
	}
}

// restoredPosition reads the position that was committed with the state and holds it against the group's offsets. Both
// are committed in one transaction: where they differ, somebody changed one without the other. Only offsets that were
// committed at least once may differ, by a commit that a crash has cut in two or an owner that wrote too late: then the
// position says what the rows reflect.
func (t *task) restoredPosition(offsets map[string]int64, mayDiffer func(topic string) bool) (state.Position, error) {
	data, ok, err := t.table.part.Get(nil, []byte(state.PositionKey))
	if err != nil {
		return state.Position{}, fmt.Errorf("read position: %w", err)
	}
	sub := t.plan.sub
	if !ok {
		for topic, offset := range offsets {
			if offset > 0 {
				return state.Position{}, &inconsistentError{fmt.Errorf(
					"group %s has committed offset %d of %s/%d, but its table %s holds no state: the table was deleted or recreated; "+
						"reset the group's offsets to build the state anew, or bring the table back",
					sub.Group(), offset, topic, t.partition, sub.TableTopic())}
			}
		}
		return state.NewPosition(), nil
	}
	position, err := state.DecodePosition(data)
	if err != nil {
		return state.Position{}, fmt.Errorf("read position: %w", err)
	}
	for topic, offset := range offsets {
		reflected, known := position.Direct[state.TopicPartition{Topic: topic, Partition: t.partition}]
		if offset < 0 || !known {
			continue // no offset: expired or deleted, and the position knows better
		}
		if offset != reflected && !mayDiffer(topic) {
			return state.Position{}, &inconsistentError{fmt.Errorf(
				"group %s has committed offset %d of %s/%d, but its state reflects %d: the offsets were changed by hand; "+
					"set them back, or delete the table %s and the state directory to build the state anew",
				sub.Group(), offset, topic, t.partition, reflected, sub.TableTopic())}
		}
	}
	return position, nil
}

func (l *life) close() {
	l.writer.Close()
	l.inputs.close()
	l.task.Close()
	l.calls.close()
}

// inconsistentError says that the state and the group's offsets contradict each other. Only a person can say which is
// right.
type inconsistentError struct{ err error }

func (e *inconsistentError) Error() string { return e.err.Error() }
func (e *inconsistentError) Unwrap() error { return e.err }
