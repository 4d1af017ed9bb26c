package engine

import (
	"errors"
	"fmt"

	"github.com/seed84377926/millrace/state"
)

// Task processes one partition of a sub-topology. Its owner calls Process for each input record and, to commit, Flush,
// then Committed when the batch of Flush is applied to the state, or Rollback if it will never be. A Task belongs to
// one goroutine at a time.
//
// After an error of Process that is neither a [*DecodeError] nor a [*TimeError] the task must be rolled back, and what
// it sent since the last commit must be discarded too: the record may have been processed in part.
type Task struct {
	host    Host
	readers []Reader // of the inputs
}

// NewTask returns a task that runs p on cfg.State. It fails if the state cannot be read, or if cfg lacks what an
// operator needs.
func NewTask(p Program, cfg TaskConfig) (*Task, error) {
	if cfg.State == nil {
		return nil, fmt.Errorf("task of sub-topology %q: TaskConfig.State is nil", p.Name)
	}
	if cfg.Sink == nil {
		return nil, fmt.Errorf("task of sub-topology %q: TaskConfig.Sink is nil", p.Name)
	}
	t := &Task{host: newHost(p.Name, cfg)}
	h := &t.host
	h.reaching, h.behind = p.Reaching, p.Behind
	for i := range p.Inputs {
		h.topics = append(h.topics, p.Inputs[i].Topic)
		h.origins.add(&p.Inputs[i], cfg.Writers)
	}
	h.origins.begin()
	if h.origins.several() {
		h.streamTime.mark = newWatermark(&h.origins, h.origins.of(h.inputs()))
	}
	for _, in := range p.Inputs {
		t.readers = append(t.readers, in.Open(h))
	}
	if err := h.findBroken(); err != nil {
		h.Fail(err)
	}
	if p.IdleAfter > 0 {
		h.advanceWhenIdle(p.IdleAfter)
	}
	if len(h.callers) > 0 && cfg.Executor == nil {
		h.callers = nil
		h.Fail(errNoExecutor)
	}
	if err := errors.Join(h.errs...); err != nil {
		t.Close()
		return nil, fmt.Errorf("task of sub-topology %q: %w", p.Name, err)
	}
	h.findUnprepared()
	h.deferred = len(h.holders) > 0 || len(h.callers) > 0
	h.wired = nil
	return t, nil
}

// Trial calls wire with the host of a task that exists for that only, on empty state and with nothing to send to. It
// returns the error of the wiring. Afterwards all parts are closed.
func Trial(name string, wire func(h *Host)) error {
	part, err := state.NewMemory().Open(0)
	if err != nil {
		return err
	}
	t := &Task{host: newHost(name, TaskConfig{State: part, Globals: emptyGlobals})}
	defer t.Close()
	t.host.trial = true
	wire(&t.host)
	return errors.Join(t.host.errs...)
}

// noRows is an empty global table.
type noRows struct{}

func emptyGlobals(string) GlobalRows { return noRows{} }

func (noRows) Get(dst, _ []byte) ([]byte, bool, error) { return dst, false, nil }
func (noRows) Version() uint64                         { return 0 }

// Process runs one record of the given input, an index of [Program].Inputs, through the sub-topology. It does not keep
// r, and does not modify it; keys and values may be reused when it returns, headers must not be modified later.
//
// A [*DecodeError] or a [*TimeError] means that nothing was done. Any other error names the node, topic and offset and
// calls for a rollback. The cause is the record itself if it is a [*RecordError], the topic that was chosen for the
// record if it is a [*RouteError], and otherwise state or sink. A panic in a function of the user is a RecordError.
func (t *Task) Process(input int, r *RawRecord) (err error) {
	h := &t.host
	if input < 0 || input >= len(t.readers) {
		return fmt.Errorf("sub-topology %q has %d inputs: there is none with index %d", h.name, len(t.readers), input)
	}
	if h.broken != nil {
		return h.broken
	}
	if err := h.prepareRest(); err != nil {
		return err
	}
	h.input, h.offset = input, r.Offset
	h.origins.enter(input, h.deferred)
	h.pause.end()
	h.arena.begin()
	defer h.recovered(&err)
	err = t.readers[input].Read(r)
	h.arena.end()
	if err == nil && len(h.streamTimeAlarms) > 0 && h.streamTime.Now != UnknownTime {
		err = h.ring(h.streamTimeAlarms, h.streamTime.Now)
	}
	return err
}

// Timestamped says that the timestamps of an input, an index of [Program].Inputs, come from a function of the user, see
// topology.TimestampOf.
func (t *Task) Timestamped(input int) bool { return t.readers[input].Timestamp != nil }

// Timestamp returns the timestamp that Process will give a record of the given input, for a caller that chooses among
// inputs. partitionTime is the largest one of the records before it. It does not change the task. If the record cannot
// be decoded, or the function panics, it is the timestamp that the record has in Kafka: Process will say what is wrong.
// If Process will refuse the record because of its time, it is [UnknownTime]: such a record holds no other one back.
func (t *Task) Timestamp(input int, r *RawRecord, partitionTime int64) int64 {
	timestamp := r.Timestamp
	if t.Timestamped(input) {
		timestamp = t.readers[input].Timestamp(r, partitionTime)
	}
	if t.Bounded(input) && timestamp > t.LatestTime() {
		return UnknownTime
	}
	return timestamp
}

// Bounded says that the task refuses records of an input, an index of [Program].Inputs, that are later than
// [Task.LatestTime].
func (t *Task) Bounded(input int) bool { return t.readers[input].Bounded }

// PartitionTime returns the largest timestamp of the records of an input that is [Task.Timestamped], -1 if there is
// none.
func (t *Task) PartitionTime(input int) int64 {
	if c := t.readers[input].PartitionTime; c != nil {
		return c.Now
	}
	return UnknownTime
}

// CommitRequested says whether a processor has asked for a commit since the last one.
func (t *Task) CommitRequested() bool { return t.host.commitRequested }

// DirtyBytes returns the approximate memory of the changes since the last commit.
func (t *Task) DirtyBytes() int64 {
	var n int64
	for _, s := range t.host.stores {
		n += s.DirtyBytes()
	}
	for _, p := range t.host.holders {
		n += p.HeldBytes()
	}
	return n
}

// Changed says whether there is anything to commit but input offsets: rows or stream times have changed.
func (t *Task) Changed() bool {
	return t.DirtyBytes() > 0 || t.host.times != nil && t.host.times.changed()
}

// StoreStats appends what the stores have done since the task was made, and what they hold, to dst: one for each store,
// in an order that stays the same. It belongs to the goroutine of the task.
func (t *Task) StoreStats(dst []state.StoreStats) []state.StoreStats {
	for _, s := range t.host.stores {
		if m, ok := s.(state.Measured); ok {
			dst = append(dst, m.Stats())
		}
	}
	return dst
}

// Preparing reports whether operators have work to do before the next record, see [Task.Prepare].
func (t *Task) Preparing() bool { return t.host.unprepared }

// Prepare does work that must be done before the next record, such as building an index that was added to a table with
// rows: it works through at most limit more rows and returns how many, 0 if all is done. The owner calls it before the
// first record and commits after each call, so that what is not committed stays small; Process does the rest at once. A
// task that goes on need not repeat what was committed.
func (t *Task) Prepare(limit int) (rows int, err error) { return t.host.prepare(limit) }

// findBroken returns what is wrong with the parts that were created again.
func (h *Host) findBroken() error {
	var errs []error
	for _, p := range h.renewables {
		errs = append(errs, p.Broken())
	}
	return errors.Join(errs...)
}

// WallClockDue returns when AdvanceWallClock has something to do next, in milliseconds since the Unix epoch, and false
// if nothing waits for the wall clock.
func (t *Task) WallClockDue() (at int64, ok bool) {
	next, at := nextAlarm(t.host.wallClockAlarms)
	return at, next != nil
}

// AdvanceWallClock tells the task the time, in milliseconds since the Unix epoch, and runs what is due by then, each
// alarm once however long it has been due. The owner calls it between records, at the latest when WallClockDue says so;
// what it sends belongs to the open transaction. A task reads no clock itself, so that a test decides what time it is.
// If the clock was set back, what waits for it goes back as well, and so waits no longer than before.
//
// An error calls for a rollback, like one of Process; if it wraps a [*PunctuationError], the punctuation is its cause.
func (t *Task) AdvanceWallClock(now int64) error {
	h := &t.host
	if h.broken != nil {
		return h.broken
	}
	if err := h.prepareRest(); err != nil {
		return err
	}
	if back := h.wallClock.Now - now; back > 0 {
		for _, k := range h.volatileTimes {
			k.shift(-back)
		}
	}
	h.wallClock.Now = now
	return h.ring(h.wallClockAlarms, now)
}

// IdleDue returns for how long the input must go on to be idle until AdvanceIdle has something to do, in milliseconds,
// and false if nothing waits for that.
func (t *Task) IdleDue() (left int64, ok bool) {
	next, at := nextAlarm(t.host.idleAlarms)
	return max(0, at-t.host.pause.passed), next != nil
}

// AdvanceIdle tells the task that its input has been idle for so many more milliseconds since the last record, and lets
// the stream times of operators go on if that was long enough. The owner calls it between records. It must know that
// the input was at its end: time that nobody saw pass, or in which the input could not be read, does not count.
//
// What it sends, and errors, are those of AdvanceWallClock.
func (t *Task) AdvanceIdle(passed int64) error {
	h := &t.host
	if h.broken != nil {
		return h.broken
	}
	if err := h.prepareRest(); err != nil {
		return err
	}
	h.pause.passed += passed
	return h.ring(h.idleAlarms, h.pause.passed)
}

// InFlight returns how many records wait for calls.
func (t *Task) InFlight() int { return t.host.inFlight }

// Poll forwards the results of calls that have ended. The owner calls it when the executor has some; what the task
// sends belongs to the open transaction. Errors are those of Process.
func (t *Task) Poll() error { return t.host.settleCalls(false) }

// Drain waits for all calls and forwards their results. The owner calls it before Flush. Errors are those of Process.
func (t *Task) Drain() error { return t.host.settleCalls(true) }

// Close gives the memory of the stores back to the budget. What is not committed is lost. The task must not be used
// afterwards, but may be closed again.
func (t *Task) Close() {
	h := &t.host
	h.cancelCalls()
	for _, p := range h.renewables {
		p.Close()
	}
	for _, s := range h.stores {
		s.Close()
	}
	h.stores = nil
}
