package processors

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/invariants"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// life is a task from one takeover to the next failure, or to the end of the task:
//
//	takeover ─▶ restore ─▶ begin ─▶ work ─▶ deliver ─▶ process ─▶ operators ─▶ sink
//	                                 ▲ ▲                                        │
//	                                 │ └── commit ◀─────────────────────────────┤
//	                                 └──── roll back ◀── handle fault ◀─────────┘
//
// One goroutine at a time uses it: the task's own, or goka's while goka processes a unit.
type life struct {
	// What the life uses of its task, which outlives it.
	task      *task // for its state, its end and its signal; everything else is below
	inst      *instance
	group     *group
	plan      *groupPlan
	partition int32
	logger    *slog.Logger
	table     *restoredTable
	unitSize  *unitSize
	faults    *faults
	stats     *taskStats
	spans     *spans

	// What begin makes from the restored state and the committed offsets.
	writer       *broker.Writer // from the takeover; a rollback may replace it
	operators    *engine.Task
	inputs       *inputs
	progress     *progress
	calls        *executor // of asynchronous operators
	identity     pendingIdentity
	idleTime     idleMeter
	groupOffsets map[string]int64 // committed offsets by input, as of the last commit
	noted        int64            // the record at which the task waits, as the last commit noted it
	quiet        quiet
	waits        waits
	upstream     bool // it reads a repartition topic
	startPending bool // the first offsets depend on when the task began, and are not committed yet

	guard       invariants.Guard // I5
	checkedLast state.Position   // of the last commit, for checkCommit

	// The unit and the transaction under way.
	unit        unit
	current     *kgo.Record // the input record that is processed
	units       int         // delivered since the last commit
	singleUnits int         // commits left that hold one unit each, see singleUnitCommits
	open        bool        // a transaction is open
	outcome     outcome     // of the open transaction, if it ended now
	due         time.Time   // when the open transaction must be committed
	told        time.Time   // the wall clock that the operators know
	uncommitted commitSize
	batch       state.Batch

	rowAcked      broker.Promise   // called for each changelog row that the broker has
	changelogLast atomic.Int64     // the highest changelog offset acknowledged
	nextPartition map[string]int32 // for records without a key, by topic
}

// newLife returns a life of the task that has yet to take over.
func newLife(t *task) *life {
	l := &life{
		task: t, inst: t.inst, group: t.group, plan: t.plan, partition: t.partition, logger: t.logger, table: t.table,
		unitSize: &t.unitSize, faults: &t.faults, stats: &t.stats, spans: &t.spans,
		nextPartition: make(map[string]int32),
	}
	l.changelogLast.Store(-1)
	return l
}

// begin makes what the work needs from the restored state and the committed offsets.
func (l *life) begin(ctx context.Context, offsets map[string]int64, now identity) error {
	position, err := l.restoredPosition(offsets, l.writer.MayDiffer)
	if err != nil {
		return err
	}
	if l.identity, err = l.adoptIdentity(now); err != nil {
		return err
	}
	l.progress = newProgress(l.plan, l.partition, position)
	l.groupOffsets = maps.Clone(offsets)
	l.waits, l.upstream = waits{began: time.Now()}, len(l.plan.upstreamTasks) > 0
	if l.faults.pending() {
		l.singleUnits = singleUnitCommits
	}
	l.rowAcked = l.writer.Promise(l.recordAck)
	out := &sink{life: l, ask: func(topic string) (int32, error) { return l.inst.client.Partitions(ctx, topic) }}
	l.calls = newExecutor(ctx, l)
	l.operators, err = l.plan.sub.NewTask(engine.TaskConfig{
		Partition: l.partition, State: l.table.part, Budget: l.inst.memory.cache,
		Sink: out, Partitions: out.partitions, Globals: l.inst.globalRows,
		Writers:   func(topic string) int32 { return l.plan.writers(topic, l.partition) },
		OnDrop:    l.recordDrop,
		WallClock: time.Now().UnixMilli(), Context: ctx, PassOver: l.faults.skipsPunctuation, Executor: l.calls,
		MaxTimeAhead: max(0, l.inst.cfg.MaxTimeAhead.Milliseconds()),
	})
	if err != nil {
		return err
	}
	l.operators.SetStreamTime(position.StreamTime, position.Largest, l.progress.restoredTimes())
	if err := l.openInputs(ctx, position, offsets); err != nil {
		l.close()
		return err
	}
	l.stats.publish(l, false)
	l.settleFaults() // the last commit of the life before may have succeeded without an answer
	return nil
}

// openInputs starts to read each input at the position in the state or, if the state has none, at the group's offset.
func (l *life) openInputs(ctx context.Context, position state.Position, offsets map[string]int64) error {
	l.inputs = &inputs{maxIdle: l.inst.cfg.MaxTaskIdle, now: time.Now, end: func(ctx context.Context, topic string) (int64, error) {
		return l.inst.client.CommittedEnd(ctx, topic, l.partition)
	}}
	for i, in := range l.plan.inputs {
		if !l.plan.reads(in.Topic, l.partition) {
			continue
		}
		from, ok := position.Direct[state.TopicPartition{Topic: in.Topic, Partition: l.partition}]
		if !ok {
			from = offsets[in.Topic]
		}
		if from < 0 { // never read
			var err error
			if from, err = l.firstOffset(ctx, in); err != nil {
				return err
			}
			l.startPending = l.startPending || in.Start.Kind != topology.StartEarliest
		}
		l.inputs.all = append(l.inputs.all, &input{
			index: i, topic: in.Topic, repartition: in.Repartition, next: from, from: from, feed: l.openFeed(in.Topic, from),
			stamp: l.stamp(i), latest: l.latest(i), time: l.operators.PartitionTime(i), stampedFrom: l.operators.PartitionTime(i),
		})
	}
	return nil
}

func (l *life) openFeed(topic string, from int64) feed {
	return l.group.reads.Add(topic, l.partition, from, l.task.ready)
}

// stamp returns the function that reads the timestamps of an input's records before they are processed. It is nil if
// they are Kafka's, or if the input has no other to be merged with.
func (l *life) stamp(input int) func(rec *kgo.Record, partitionTime int64) int64 {
	if len(l.plan.inputs) == 1 || !l.operators.Timestamped(input) {
		return nil
	}
	return func(rec *kgo.Record, partitionTime int64) int64 {
		raw := rawRecord(rec)
		return l.operators.Timestamp(input, &raw, partitionTime)
	}
}

// latest returns the function that tells the latest time that the task takes from an input. It is nil if it takes all,
// or if the input has no other to be merged with.
func (l *life) latest(input int) func() int64 {
	if len(l.plan.inputs) == 1 || !l.operators.Bounded(input) {
		return nil
	}
	return l.operators.LatestTime
}

// restoredPosition reads the position that was committed with the state and compares it with the group's offsets. Both
// are committed in one transaction: where they differ, somebody changed one without the other. There is one exception,
// AtLeastOnce: its offsets may differ because a crash cut a commit in two or an owner wrote too late. Then the position
// says what the rows reflect.
func (l *life) restoredPosition(offsets map[string]int64, mayDiffer func(topic string) bool) (state.Position, error) {
	data, ok, err := l.table.part.Get(nil, []byte(state.PositionKey))
	if err != nil {
		return state.Position{}, fmt.Errorf("read position: %w", err)
	}
	sub := l.plan.sub
	if !ok {
		for topic, offset := range offsets {
			if offset > 0 {
				return state.Position{}, &inconsistentError{fmt.Errorf(
					"group %s has committed offset %d of %s/%d, but its table %s holds no state: the table was deleted or recreated; "+
						"reset the group's offsets to build the state anew, or bring the table back",
					sub.Group(), offset, topic, l.partition, sub.TableTopic())}
			}
		}
		return state.NewPosition(), nil
	}
	position, err := state.DecodePosition(data)
	if err != nil {
		return state.Position{}, fmt.Errorf("read position: %w", err)
	}
	for topic, offset := range offsets {
		reflected, known := position.Direct[state.TopicPartition{Topic: topic, Partition: l.partition}]
		if offset < 0 || !known {
			continue // the offset has expired or was deleted, and the position knows better
		}
		if offset != reflected && !mayDiffer(topic) {
			return state.Position{}, &inconsistentError{fmt.Errorf(
				"group %s has committed offset %d of %s/%d, but its state reflects %d: the offsets were changed by hand; "+
					"set them back, or delete the table %s and the state directory to build the state anew",
				sub.Group(), offset, topic, l.partition, reflected, sub.TableTopic())}
		}
	}
	return position, nil
}

func (l *life) close() {
	l.writer.Close()
	l.inputs.close()
	l.operators.Close()
	l.calls.close()
}

// inconsistentError says that the state and the group's offsets contradict each other. Only a person can say which is
// right.
type inconsistentError struct{ err error }

func (e *inconsistentError) Error() string { return e.err.Error() }
func (e *inconsistentError) Unwrap() error { return e.err }
