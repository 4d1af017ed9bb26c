package topology

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/seed84377926/millrace/state"
)

// Sink takes the output of a task.
type Sink interface {
	// Send takes a record for a topic, in order for each topic and key. The slices of r are handed over: the task never
	// modifies them again, but may send them to several partitions. The partition is r.Partition if r.Pinned is set; else whoever
	// implements Send chooses it: [Partition] of r.PartitionKey, or of r.Key if that is nil; any partition for a null key.
	// An error of Send fails Process.
	Send(topic string, r RawRecord) error
}

// Reasons of a [Drop].
const (
	DropNullKey           = "null-key"           // the operator needs a key
	DropNullValue         = "null-value"         // the operator needs a value
	DropLateWindow        = "late-window"        // the window and its grace are over; counted for each window
	DropExpiredWindow     = "expired-window"     // the window closed when it was not retained any more; see [WithinRetention]
	DropNegativeTimestamp = "negative-timestamp" // the record has no usable time
	DropNoPartition       = "no-partition"       // the function of Multicast sent the record nowhere
	DropTooOld            = "too-old"            // the update is older than the history, or the TTL, of a table
	DropStale             = "stale"              // the update is not the latest one of its key, and only these count
	DropNullForeignKey    = "null-foreign-key"   // the row refers to nothing
	DropOutdated          = "outdated"           // the answer is about what the row was before, in a foreign-key join
)

// Drop is a record that an operator could not use.
type Drop struct {
	// Node is the name of the operator as [Topology.Describe] shows it, Reason one of the Drop constants.
	Node, Reason string
	// Topic, Partition and Offset are those of the input record that was processed; "" and -1 if it was none, but a
	// [Punctuation].
	Topic     string
	Partition int32
	Offset    int64
}

// TaskConfig says what a task works with.
type TaskConfig struct {
	// Partition is the partition of all inputs; it appears in errors and drops.
	Partition int32
	// State is the committed state of the task. Required.
	State state.Partition
	// Budget bounds the memory of all stores that share it. nil means one of its own for each store.
	Budget *state.Budget
	// Sink takes the output. Required.
	Sink Sink
	// Partitions returns the number of partitions of a topic that Sink takes records for. An error says why it takes none; it
	// becomes the cause of a [RouteError] if the topic was chosen for a record. It is required if the sub-topology chooses
	// partitions, see [PartitionBy], or topics, see [Stream.ToDynamic].
	Partitions func(topic string) (int32, error)
	// Globals returns the rows of a global table. It is required if the sub-topology reads one, see [GlobalTableOf].
	Globals func(name string) GlobalRows
	// OnDrop hears of every record that an operator drops. nil means nobody does.
	OnDrop func(Drop)
	// WallClock is the time at the start, in milliseconds since the Unix epoch; see [Task.AdvanceWallClock].
	WallClock int64
	// Context is what processors are called with; it ends when the task has to. nil means one that never ends.
	Context context.Context //nolint:containedctx // that of the task's whole life
	// PassOver says, just before a punctuation runs, that it has failed and is not to run again: the schedule goes on with the
	// next one. nil means that none is passed over.
	PassOver func(Punctuation) bool
	// Executor runs the calls of asynchronous operators. Required if there are any.
	Executor Executor
}

func (c TaskConfig) withDefaults() TaskConfig {
	if c.OnDrop == nil {
		c.OnDrop = func(Drop) {}
	}
	if c.Context == nil {
		c.Context = context.Background()
	}
	return c
}

// Task processes one partition of a sub-topology. Its owner calls Process for each input record and, to commit, Flush,
// then Committed when the batch of Flush is applied to the state, or Rollback if it will never be. A Task belongs to one
// goroutine at a time.
//
// After an error of Process that is not a [*DecodeError] the task must be rolled back, and what it sent since the last
// commit must be taken back too: the record may have been processed in part.
type Task struct {
	sub    *SubTopology
	cfg    TaskConfig
	inputs []rawReceiver
	stores []state.Store
	times  *times
	time   clock // task stream time
	arena  arena
	held   []holder // what waits for the commit
	// partitionTimes are those of the sources that tell timestamps.
	partitionTimes map[string]*operatorClock
	wall           int64    // wall-clock time, as far as the owner has told it
	alarms         []*alarm // what waits for the wall clock
	pause          pause

	// Of processors.
	scopes          []*scope
	streamAlarms    []*alarm    // what waits for stream time
	wallTimes       []*keptTime // when schedules of the wall clock are due
	commitRequested bool
	stateErr        error // a processor could not read its state
	broken          error // a processor could not be created again

	// Of indexes.
	indexes []indexBuilder
	unbuilt bool // not all of them are built

	// Of asynchronous operators.
	asyncs   []interface{ reset() }
	inFlight int // records that wait for calls

	// The input record that is processed, or the punctuation that runs instead, and the node that last called a function of
	// the user.
	input       int
	offset      int64
	punctuation *Punctuation
	at          *node

	// While the task is wired.
	wired map[any]any
	errs  []error
	trial bool // it exists to create processors for Build
}

// rawReceiver takes the encoded records of one input.
type rawReceiver func(*RawRecord) error

func newTask(sub *SubTopology, cfg TaskConfig) (*Task, error) {
	if cfg.State == nil {
		return nil, fmt.Errorf("task of sub-topology %q: TaskConfig.State is nil", sub.name)
	}
	if cfg.Sink == nil {
		return nil, fmt.Errorf("task of sub-topology %q: TaskConfig.Sink is nil", sub.name)
	}
	t := &Task{
		sub: sub, cfg: cfg.withDefaults(), time: newClock(), wall: cfg.WallClock,
		wired: make(map[any]any), partitionTimes: make(map[string]*operatorClock),
	}
	for i, source := range sub.sources {
		if sub.inputs[i].Pattern != "" {
			return nil, fmt.Errorf("task of sub-topology %q: which topics match %q is not known; call Topology.Resolve first",
				sub.name, sub.inputs[i].Pattern)
		}
		t.inputs = append(t.inputs, source.open(t, sub.inputs[i].Topic))
	}
	for _, sc := range t.scopes {
		t.errs = append(t.errs, sc.broken())
	}
	if sub.top.idle > 0 {
		t.advanceWhenIdle(sub.top.idle)
	}
	if len(t.asyncs) > 0 && cfg.Executor == nil {
		t.asyncs = nil
		t.fail(errNoExecutor)
	}
	if err := errors.Join(t.errs...); err != nil {
		t.Close()
		return nil, fmt.Errorf("task of sub-topology %q: %w", sub.name, err)
	}
	t.findUnbuilt()
	t.wired = nil
	return t, nil
}

// once returns what create returned for key when this task was wired first: for what nodes or the inputs of one node share.
func once[T any](t *Task, key any, create func() T) T {
	if have, ok := t.wired[key].(T); ok {
		return have
	}
	made := create()
	t.wired[key] = made
	return made
}

// fail makes NewTask return err.
func (t *Task) fail(err error) { t.errs = append(t.errs, err) }

// Process runs one record of the given input, an index of [SubTopology.Inputs], through the sub-topology. It does not
// keep r, and does not modify it; keys and values may be reused when it returns, headers must not be modified later.
//
// A [*DecodeError] means that nothing was done. Any other error names the node, topic and offset and calls for a
// rollback; if it is a [*RecordError], the record itself is to blame, if a [*RouteError], the topic that was chosen for it,
// else state or sink are. A panic in a function of the user is a RecordError.
func (t *Task) Process(input int, r *RawRecord) (err error) {
	if input < 0 || input >= len(t.inputs) {
		return fmt.Errorf("sub-topology %q has %d inputs: there is none with index %d", t.sub.name, len(t.inputs), input)
	}
	if t.broken != nil {
		return t.broken
	}
	if err := t.buildRest(); err != nil {
		return err
	}
	t.input, t.offset = input, r.Offset
	t.pause.end(t.wall)
	t.arena.begin()
	defer t.recovered(&err)
	err = t.inputs[input](r)
	t.arena.end()
	if err == nil && len(t.streamAlarms) > 0 && t.time.now != unknownTime {
		err = t.ring(t.streamAlarms, t.time.now)
	}
	return err
}

// recovered turns a panic into an error that names the node and the record.
func (t *Task) recovered(err *error) {
	if v := recover(); v != nil {
		if t.stateErr != nil {
			*err = t.stateFailed(t.at)
			return
		}
		*err = t.recordError(t.at, &PanicError{Value: v, Stack: debug.Stack()})
	}
}

// StreamTime returns the largest timestamp of the records processed, in milliseconds, -1 if there is none.
func (t *Task) StreamTime() int64 { return t.time.now }

// SetStreamTime sets the stream time that a restored task goes on from.
func (t *Task) SetStreamTime(timestamp int64) { t.time.set(timestamp) }

// Flush forwards what operators hold back until the commit, which may send output, removes expired windows and appends all changes
// since the last commit to b. They stay pending until Committed or Rollback.
//
// It fails like Process, except that a [*RecordError] names the record that was processed last, which need not be the one to blame.
func (t *Task) Flush(b *state.Batch) error {
	if t.inFlight > 0 {
		return fmt.Errorf("flush sub-topology %q: %d records wait for calls; call Drain first", t.sub.name, t.inFlight)
	}
	for released := false; !released || t.inFlight > 0; released = true {
		// What is released may lead to calls, and what comes of these may be held again.
		err := t.Drain()
		if err == nil {
			err = t.releaseHeld()
		}
		if err != nil {
			return fmt.Errorf("flush sub-topology %q: %w", t.sub.name, err)
		}
	}
	t.commitRequested = false
	for _, k := range t.wallTimes {
		k.flushed = k.now
	}
	t.time.flushed = t.time.now
	if t.times != nil {
		if err := t.times.flush(); err != nil {
			return fmt.Errorf("flush sub-topology %q: %w", t.sub.name, err)
		}
	}
	for _, s := range t.stores {
		if err := s.Flush(b); err != nil {
			return fmt.Errorf("flush sub-topology %q: %w", t.sub.name, err)
		}
	}
	return nil
}

// Committed says that the batch of the last Flush is applied to the state.
func (t *Task) Committed() {
	t.time.committed = t.time.flushed
	for _, k := range t.wallTimes {
		k.clock.committed = k.flushed
	}
	if t.times != nil {
		t.times.committed()
	}
	for _, s := range t.stores {
		s.Committed()
	}
}

// CommitRequested says whether a processor has asked for a commit since the last one.
func (t *Task) CommitRequested() bool { return t.commitRequested }

// Rollback forgets everything since the last commit, stream times included, and creates the processors again: what they keep
// in variables may come from what is forgotten.
func (t *Task) Rollback() {
	t.pause.end(t.wall)
	t.cancelCalls()
	t.punctuation = nil
	t.commitRequested, t.stateErr = false, nil
	t.time.rollback()
	for _, k := range t.wallTimes {
		k.clock.rollback()
	}
	if t.times != nil {
		t.times.rollback()
	}
	for _, s := range t.stores {
		s.Rollback()
	}
	t.findUnbuilt()
	for _, h := range t.held {
		h.forget()
	}
	var broken []error
	for _, sc := range t.scopes {
		sc.restart()
		broken = append(broken, sc.broken())
	}
	t.broken = errors.Join(broken...)
}

// DirtyBytes returns the approximate memory of the changes since the last commit.
func (t *Task) DirtyBytes() int64 {
	var n int64
	for _, s := range t.stores {
		n += s.DirtyBytes()
	}
	for _, h := range t.held {
		n += h.heldBytes()
	}
	return n
}

// StoreStats appends what the stores have done since the task was made, and what they hold, to dst: one for each store, in
// an order that stays the same. It belongs to the goroutine of the task.
func (t *Task) StoreStats(dst []state.StoreStats) []state.StoreStats {
	for _, s := range t.stores {
		if m, ok := s.(state.Measured); ok {
			dst = append(dst, m.Stats())
		}
	}
	return dst
}

// Close gives the memory of the stores back to the budget. What is not committed is lost. The task must not be used
// afterwards, but may be closed again.
func (t *Task) Close() {
	t.cancelCalls()
	for _, sc := range t.scopes {
		sc.close()
	}
	for _, s := range t.stores {
		s.Close()
	}
	t.stores = nil
}

// Changed says whether there is anything to commit but input offsets: rows or stream times have changed.
func (t *Task) Changed() bool { return t.DirtyBytes() > 0 || t.times != nil && t.times.changed() }

// position returns where the input record is that is processed.
func (t *Task) position() (topic string, offset int64) {
	if t.punctuation != nil {
		return "", -1
	}
	return t.sub.inputs[t.input].Topic, t.offset
}

func (t *Task) drop(n *node, reason string) {
	topic, offset := t.position()
	t.cfg.OnDrop(Drop{Node: n.name, Reason: reason, Topic: topic, Partition: t.cfg.Partition, Offset: offset})
}
