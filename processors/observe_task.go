package processors

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// taskStats is what a task records of itself. It counts each record in plain numbers (live), which only its goroutine
// touches and which it publishes after each unit and each commit. The fields under mu are the published numbers; any
// goroutine may read them.
type taskStats struct {
	processor atomic.Pointer[broker.GroupTask]
	restore   atomic.Pointer[RestoreProgress]
	records   atomic.Int64 // input records processed
	commits   atomic.Int64
	activity  observe.Clock[observe.Activity]
	group     *observe.Group

	live tally // touched by the goroutine that runs the task

	mu struct {
		sync.Mutex
		stateSince time.Time
		inputs     []inputStats
		outputs    map[string]flow
		stores     []state.StoreStats
		commit     commitStats
		held       []engine.Held // clocks that an upstream task holds back
		heldAt     time.Time     // when held was read
		streamTime int64         // of the task
		enforced   int64         // units taken although an input was empty, because its idle time was over
		waitsFor   string

		drops        []dropTally
		failures     map[string]int64
		transactions [outcomes]int64
		restored     int64 // records
		lastError    *TaskError
	}
}

// tally holds the numbers that a task has counted and not yet published.
type tally struct {
	inputs   []inputTally
	outputs  map[string]*outputTally
	stores   []state.StoreStats // of this life, as published
	scratch  []state.StoreStats
	drops    drops
	restored int64 // records of the restore under way, as published
}

// flow counts records and the bytes of their keys and values.
type flow struct{ records, bytes int64 }

func (f *flow) add(key, value []byte) {
	f.records++
	f.bytes += int64(len(key) + len(value))
}

type inputTally struct {
	flow
	topic  string
	last   int64             // timestamp of the record processed last
	source observe.Histogram // age of the records when they are processed
	open   observe.Pending   // records of the open transaction
}

type outputTally struct {
	flow
	open observe.Pending
}

// inputStats are the published numbers of an input.
type inputStats struct {
	topic  string
	absent bool // the task has no partition of it
	flow
	position int64 // -1: not known yet
	oldest   int64 // timestamp of the oldest record that is known to wait; 0 if there is none
	end      int64 // end of the committed log, -1 if not known yet
	high     int64 // high watermark: records from end on belong to open transactions
}

// lag returns how many offsets the input is behind and for how long its oldest record has waited, 0 if that is not
// known.
func (in *inputStats) lag(now time.Time) (offsets int64, age time.Duration) {
	if in.position < 0 || in.end <= in.position {
		return 0, 0
	}
	if in.oldest > 0 {
		age = max(0, observe.Millis(now.UnixMilli()-in.oldest))
	}
	return in.end - in.position, age
}

type commitStats struct {
	latency observe.Histogram
	rows    int64 // written to the changelog and to the local state only
	last    time.Time
	slowest time.Duration
}

// outcome is how a transaction ended.
type outcome uint8

const (
	outcomeCommitted outcome = iota
	outcomeAborted           // given up before its commit was requested
	outcomeFenced            // another owner took over
	outcomeUnknown           // the commit was requested, and there was no answer: the next takeover finds out
	outcomes
)

var outcomeNames = [outcomes]string{"committed", "aborted", "fenced", "unknown"} //nolint:gochecknoglobals // a table

// initTaskStats prepares the stats of a task, in place.
func initTaskStats(s *taskStats, group *observe.Group, plan *groupPlan, partition int32) {
	s.group = group
	s.live.inputs = make([]inputTally, len(plan.inputs))
	s.live.outputs = make(map[string]*outputTally)
	s.mu.inputs = make([]inputStats, len(plan.inputs))
	for i, in := range plan.inputs {
		s.live.inputs[i].topic = in.Topic
		s.mu.inputs[i] = inputStats{topic: in.Topic, absent: !plan.reads(in.Topic, partition), position: -1, end: -1, high: -1}
	}
	s.mu.outputs = make(map[string]flow)
	s.mu.streamTime = engine.UnknownTime
}

// recordInput counts an input record that is about to be processed; now is in milliseconds.
func (s *taskStats) recordInput(input int, rec *kgo.Record, now int64) {
	in := &s.live.inputs[input]
	in.add(rec.Key, rec.Value)
	in.last = broker.RecordTime(rec)
	in.source.Observe(observe.Millis(now-in.last), 1)
	in.open.Add(in.last)
}

// output returns the tally of an output topic.
func (s *taskStats) output(topic string) *outputTally {
	out := s.live.outputs[topic]
	if out == nil {
		out = new(outputTally)
		s.live.outputs[topic] = out
	}
	return out
}

// publish publishes the numbers of inputs, stores and drops. waiting says that the task is about to wait: what holds it
// back must be as of now.
func (s *taskStats) publish(l *life, waiting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.drops = s.live.drops.publish(s.mu.drops)
	s.publishTime(l, waiting)
	s.publishInputs(l.inputs)
	s.publishStores(l.operators)
}

// publishInputs publishes the numbers of the inputs. mu is held.
func (s *taskStats) publishInputs(inputs *inputs) {
	for _, in := range inputs.all {
		to, from := &s.mu.inputs[in.index], &s.live.inputs[in.index]
		to.flow, to.position, to.oldest = from.flow, in.next, from.last
		if head := in.head(); head != nil {
			to.oldest = broker.RecordTime(head)
		}
	}
	s.mu.enforced = inputs.enforced
	s.mu.waitsFor = inputs.waitsFor
}

// recordCommit counts a commit, whose effects can be seen from now on.
func (s *taskStats) recordCommit(spent time.Duration, rows int, task *engine.Task) {
	now := time.Now()
	s.publishLatencies(now.UnixMilli())
	s.commits.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.transactions[outcomeCommitted]++
	s.mu.commit.latency.Observe(spent, 1)
	s.mu.commit.rows += int64(rows)
	s.mu.commit.last = now
	s.mu.commit.slowest = max(s.mu.commit.slowest, spent)
	for topic, out := range s.live.outputs {
		s.mu.outputs[topic] = out.flow
	}
	s.mu.drops = s.live.drops.publish(s.mu.drops)
	s.publishStores(task)
}

// publishLatencies hands the ages of the records of the transaction to the group.
func (s *taskStats) publishLatencies(now int64) {
	var h observe.Histogram
	for i := range s.live.inputs {
		in := &s.live.inputs[i]
		if len(in.open) > 0 {
			s.group.Latency(observe.AtSource, in.topic).Take(&in.source)
			in.open.Observe(now, &h)
			s.group.Latency(observe.AtCommit, in.topic).Take(&h)
		}
	}
	for topic, out := range s.live.outputs {
		if len(out.open) > 0 {
			out.open.Observe(now, &h)
			s.group.Latency(observe.AtSink, topic).Take(&h)
		}
	}
}

// publishStores adds what the stores counted since the last call. They count from 0 in each life. mu is held.
func (s *taskStats) publishStores(task *engine.Task) {
	now := task.StoreStats(s.live.scratch[:0])
	if len(s.mu.stores) != len(now) {
		s.mu.stores = make([]state.StoreStats, len(now))
	}
	if len(s.live.stores) != len(now) {
		s.live.stores = make([]state.StoreStats, len(now))
	}
	for i, n := range now {
		old, sum := s.live.stores[i], &s.mu.stores[i]
		sum.Store, sum.Kind = n.Store, n.Kind
		sum.Entries, sum.EntriesBytes = n.Entries, n.EntriesBytes
		sum.Gets += n.Gets - old.Gets
		sum.Misses += n.Misses - old.Misses
		sum.Puts += n.Puts - old.Puts
		sum.Deletes += n.Deletes - old.Deletes
		sum.Scans += n.Scans - old.Scans
		sum.Expired += n.Expired - old.Expired
		sum.Flushed += n.Flushed - old.Flushed
		sum.CachedRows, sum.CachedBytes, sum.DirtyBytes = n.CachedRows, n.CachedBytes, n.DirtyBytes
	}
	s.live.stores, s.live.scratch = now, s.live.stores
}

// recordEnd forgets the numbers of a life that is over, and counts how its open transaction ended, if it has one.
func (s *taskStats) recordEnd(l *life, err error) {
	s.recordRollback(l, err)
	s.live.stores = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.mu.stores {
		stores := &s.mu.stores[i]
		stores.CachedRows, stores.CachedBytes, stores.DirtyBytes = 0, 0, 0
	}
}

// recordRollback forgets the numbers since the last commit, and counts how the open transaction ended, if there is one.
func (s *taskStats) recordRollback(l *life, err error) {
	for i := range s.live.inputs {
		s.live.inputs[i].open = s.live.inputs[i].open[:0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, out := range s.live.outputs {
		out.open = out.open[:0]
		out.flow = s.mu.outputs[topic] // the outputs since then are aborted
	}
	if l == nil || !l.open {
		return
	}
	end := l.outcome
	if end != outcomeCommitted && errors.Is(err, broker.ErrFenced) {
		end = outcomeFenced
	}
	s.mu.transactions[end]++
}

// recordFailure counts a life that ended with an error.
func (s *taskStats) recordFailure(err error, at time.Time) {
	cause := failureCause(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.failures == nil {
		s.mu.failures = make(map[string]int64)
	}
	s.mu.failures[cause]++
	s.mu.lastError = &TaskError{Cause: cause, Message: err.Error(), At: at}
}

// failureCause classifies failures by the people who must look at them.
func failureCause(err error) string {
	var inconsistent *inconsistentError
	switch {
	case isRecordFault(err):
		return "record"
	case errors.Is(err, broker.ErrFenced):
		return "fenced"
	case errors.As(err, &inconsistent), errors.Is(err, broker.ErrOffsetLost):
		return "inconsistent"
	default:
		return "infrastructure"
	}
}

// recordRestore publishes the progress of a restore.
func (s *taskStats) recordRestore(p RestoreProgress) {
	s.restore.Store(&p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.restored += p.Records - s.live.restored
	s.live.restored = p.Records
}

// recordEnds publishes where the inputs end.
func (s *taskStats) recordEnds(partition int32, ends map[state.TopicPartition]broker.LogEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.mu.inputs {
		in := &s.mu.inputs[i]
		if end, ok := ends[state.TopicPartition{Topic: in.topic, Partition: partition}]; ok {
			in.end, in.high = end.Committed, end.HighWatermark
		}
	}
}

// taskSnapshot is a copy of everything that a task has published.
type taskSnapshot struct {
	stateSince   time.Time
	inputs       []inputStats
	outputs      map[string]flow
	stores       []state.StoreStats
	commit       commitStats
	held         []engine.Held
	streamTime   int64
	enforced     int64
	waitsFor     string
	drops        []dropTally
	failures     map[string]int64
	transactions [outcomes]int64
	restored     int64
	lastError    *TaskError

	activity      observe.Activity
	activitySince time.Time
	spent         [observe.MaxStates]time.Duration // by activity
}

func (s *taskStats) snapshot(now time.Time) taskSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := taskSnapshot{
		stateSince: s.mu.stateSince, inputs: slices.Clone(s.mu.inputs), outputs: maps.Clone(s.mu.outputs),
		stores: slices.Clone(s.mu.stores), commit: s.mu.commit, held: s.mu.held, streamTime: s.mu.streamTime, enforced: s.mu.enforced, waitsFor: s.mu.waitsFor,
		drops: slices.Clone(s.mu.drops), failures: maps.Clone(s.mu.failures), transactions: s.mu.transactions,
		restored: s.mu.restored, lastError: s.mu.lastError,
	}
	p.inputs = slices.DeleteFunc(p.inputs, func(in inputStats) bool { return in.absent })
	p.activity, p.activitySince, p.spent = s.activity.Read(now)
	return p
}

// recordState records that the task enters a state.
func (t *task) recordState(s taskState) {
	now := time.Now()
	t.stats.mu.Lock()
	if taskState(t.state.Load()) != s || t.stats.mu.stateSince.IsZero() {
		t.stats.mu.stateSince = now
	}
	t.stats.mu.Unlock()
	if s == taskRestoring {
		t.stats.live.restored = 0
	}
	t.spans.enter(s, t.stats.live.restored)
	switch s {
	case taskStarting:
		t.stats.activity.Enter(observe.ActivityStart, now)
	case taskTakingOver:
		t.stats.activity.Enter(observe.ActivityTakeOver, now)
	case taskRestoring:
		t.stats.activity.Enter(observe.ActivityRestore, now)
	case taskRunning, taskPaused:
		t.stats.activity.Enter(observe.ActivityWait, now)
	case taskWaiting:
		t.stats.activity.Enter(observe.ActivityRetry, now)
	case taskStopped:
		t.stats.activity.Stop(now)
	}
}
