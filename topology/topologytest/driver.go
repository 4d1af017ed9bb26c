package topologytest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// TB is the part of a test that a Driver needs. *testing.T implements it, and so does [Example].
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Example returns a TB for example functions, which have no test: Fatalf panics.
func Example() TB { return panics{} }

type panics struct{}

func (panics) Helper()                           {}
func (panics) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Option is an option of [NewDriver].
type Option func(*Driver)

// CommitEvery commits after every n piped records instead of after each.
func CommitEvery(n int) Option {
	return func(d *Driver) { d.commitDue = func() bool { return len(d.pending) >= n } }
}

// CommitRandomly commits after one in four piped records, chosen by the seed.
func CommitRandomly(seed uint64) Option {
	const oneIn = 4
	dice := rand.New(rand.NewPCG(seed, seed))
	return func(d *Driver) { d.commitDue = func() bool { return dice.IntN(oneIn) == 0 } }
}

// CacheBytes limits the memory of all stores. With a very small limit, nearly every read goes to the engine.
func CacheBytes(n int64) Option { return func(d *Driver) { d.cacheBytes = n } }

// Driver runs a topology. It belongs to one goroutine. Any error fails the test, unless the method returns errors.
type Driver struct {
	t           TB
	top         *topology.Topology
	runners     []*runner
	globals     []*globalTable
	matching    []string // topics that patterns may match
	commitDue   func() bool
	cacheBytes  int64
	callDice    *rand.Rand       // nil: calls end at once, in their order
	idleTimeout int64            // milliseconds, see IdleTimeout
	partitions  map[string]int32 // of the topics that have a number of their own
	common      int32            // partitions of all other topics that are not internal; 0: not given, one
	keyless     map[string]int32 // how many records without a key were piped, by topic

	maxTimeAhead int64 // in milliseconds; 0: no bound

	sent    []sent          // outputs, since the beginning
	read    map[string]int  // topic to how much of sent Drain has seen
	drops   []engine.Drop   // since the beginning
	offsets map[place]int64 // next offsets
	pending []action        // since the last commit
	now     int64           // the wall clock
	passed  int64           // since the beginning, in milliseconds

	committed struct {
		sent, drops int
		offsets     map[place]int64
	}
}

// sent is one output record.
type sent struct {
	topic     string
	partition int32
	engine.RawRecord
}

// action is one step of the test: it piped a record, or moved the wall clock.
type action struct {
	topic            string // "" if it was the wall clock
	engine.RawRecord        // pinned
	wallClock        int64
	passed           int64 // milliseconds for which the input was idle
}

func (d *Driver) do(s action) error {
	if s.topic == "" {
		return d.tellTime(s.wallClock, s.passed)
	}
	d.enqueue(place{s.topic, s.Partition}, s.RawRecord)
	return d.run()
}

// NewDriver starts the tasks of top on empty state.
func NewDriver(t TB, top *topology.Topology, opts ...Option) *Driver {
	t.Helper()
	d := &Driver{
		t: t, top: top, read: make(map[string]int), offsets: make(map[place]int64),
		partitions: make(map[string]int32), keyless: make(map[string]int32), idleTimeout: defaultIdleTimeout.Milliseconds(),
	}
	CommitEvery(1)(d)
	for _, opt := range opts {
		opt(d)
	}
	d.must(d.matchOutputs())
	tasks, err := d.size()
	d.must(err)
	for _, sub := range d.top.SubTopologies() {
		inputs := sub.Inputs()
		for partition := range tasks[sub.Group()] {
			d.runners = append(d.runners, &runner{
				calls: &executor{dice: d.callDice}, sub: sub, partition: partition, inputs: inputs,
				queues: make([][]queued, len(inputs)), changelog: make(map[string][]byte), streamTime: -1, largest: -1,
			})
		}
	}
	for _, r := range d.runners {
		d.must(r.wipe())
	}
	d.connect()
	d.openGlobals()
	d.open()
	d.committed.offsets = maps.Clone(d.offsets)
	return d
}

func (d *Driver) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("topology %q: %v", d.top.Name(), err)
	}
}

// open starts all tasks on the existing state.
func (d *Driver) open() {
	d.t.Helper()
	budget := state.NewBudget(d.cacheBytes)
	for _, r := range d.runners {
		task, err := r.sub.NewTask(engine.TaskConfig{
			Partition: r.partition, State: r.part, Budget: budget, Sink: taskSink{d, r}, Partitions: d.partitionsOf, Globals: d.globalRows, WallClock: d.now,
			Writers:  d.writers(r),
			Executor: r.calls, MaxTimeAhead: d.maxTimeAhead,
			OnDrop: func(drop engine.Drop) { d.drops = append(d.drops, drop) },
		})
		d.must(err)
		r.task = task
		r.task.SetStreamTime(r.streamTime, r.largest, r.progress)
	}
}

// PipeRaw runs an encoded record through the topology. It is in r.Partition if r.Pinned is set, else in the partition
// of its key; records without a key go to the partitions in turn. If it fails, state and outputs are as if the record
// had never been piped. A topic that nothing reads is an error.
func (d *Driver) PipeRaw(topic string, r engine.RawRecord) error {
	if !d.reads(topic) && !d.discover(topic) {
		return fmt.Errorf("topic %q is read by no part of the topology", topic)
	}
	if err := d.pin(topic, &r); err != nil {
		return err
	}
	s := action{topic: topic, RawRecord: r}
	d.pending = append(d.pending, s)
	return d.settle(d.do(s))
}

// settle ends an action: after an error it rolls the action back, otherwise it commits if a commit is due.
func (d *Driver) settle(err error) error {
	if err != nil {
		failed := len(d.pending) - 1
		d.rollback(d.pending[:failed])
		return err
	}
	if d.commitDue() {
		d.Commit()
	}
	return nil
}

// taskSink takes the output of a task.
type taskSink struct {
	d *Driver
	r *runner
}

// Send implements engine.Sink.
func (s taskSink) Send(topic string, r engine.RawRecord) error {
	d := s.d
	n, err := d.partitionsOf(topic)
	if err != nil {
		return err
	}
	partition := partitionOf(r, n)
	d.sent = append(d.sent, sent{topic, partition, r})
	d.enqueue(place{topic, partition}, r)
	return nil
}

// enqueue gives r the next offset of the partition and queues it for the tasks that read it.
func (d *Driver) enqueue(at place, r engine.RawRecord) {
	r.Offset, r.PartitionKey, r.Pinned, r.Partition = d.offsets[at], nil, false, 0
	d.offsets[at]++
	for _, runner := range d.runners {
		if runner.partition != at.partition {
			continue
		}
		for i, input := range runner.inputs {
			if input.Topic == at.topic {
				runner.queues[i] = append(runner.queues[i], queued{RawRecord: r})
			}
		}
	}
	for _, g := range d.globals {
		if g.topic == at.topic {
			g.queue = append(g.queue, r)
		}
	}
}

// run processes all queued records, in all sub-topologies, and the results of calls that end now. Then the tasks
// downstream hear how far those upstream have come, which may make them do more.
func (d *Driver) run() error {
	for {
		if err := d.runQueued(); err != nil {
			return err
		}
		some, err := d.runCalls(d.callDice == nil)
		if err != nil {
			return err
		}
		if !some && !d.tell() {
			return nil
		}
	}
}

// finish waits for all calls.
func (d *Driver) finish() error {
	for {
		some, err := d.runCalls(true)
		if err != nil || !some {
			return err
		}
		if err := d.runQueued(); err != nil {
			return err
		}
	}
}

func (d *Driver) runQueued() error {
	for {
		if err := d.updateGlobals(); err != nil {
			return err
		}
		r, input := d.next()
		if r == nil {
			return nil
		}
		if err := r.step(input, d.passed); err != nil {
			return err
		}
	}
}

// next returns the task that goes on, and with which input; nil if nothing is queued. The first sub-topology that has
// something queued goes on. Of its tasks, it is the one with the smallest timestamp, and of these the first.
func (d *Driver) next() (next *runner, input int) {
	var earliest int64
	for _, r := range d.runners {
		if next != nil && r.sub != next.sub {
			break
		}
		if i, timestamp := r.earliest(); i >= 0 && (next == nil || timestamp < earliest) {
			next, input, earliest = r, i, timestamp
		}
	}
	return next, input
}

// queued reports whether a task has something to process.
func (d *Driver) queued() bool {
	return slices.ContainsFunc(d.runners, func(r *runner) bool {
		return slices.ContainsFunc(r.queues, func(queue []queued) bool { return len(queue) > 0 })
	})
}

func printRaw(r engine.RawRecord) string {
	return fmt.Sprintf("%q -> %q @%d", r.Key, r.Value, r.Timestamp)
}

// Commit commits all tasks, and a downstream task again if an upstream task sent it something at its commit. It waits
// for the calls of asynchronous operators.
func (d *Driver) Commit() {
	d.t.Helper()
	for again := true; again; again = d.queued() {
		d.must(d.run())
		d.must(d.finish())
		for _, r := range d.runners {
			d.must(r.commit())
		}
	}
	for _, g := range d.globals {
		g.commit()
	}
	d.pending = nil
	d.committed.sent, d.committed.drops, d.committed.offsets = len(d.sent), len(d.drops), maps.Clone(d.offsets)
}

// Restart stops all tasks with a commit and starts them again on their state.
func (d *Driver) Restart() {
	d.t.Helper()
	d.Commit()
	d.close()
	d.open()
}

// Crash stops all tasks without a commit, starts them again on their state and pipes again what was not committed.
// Outputs that were not committed are discarded. The wall clock goes on from where it is.
func (d *Driver) Crash() {
	d.t.Helper()
	d.close()
	d.open()
	d.rollback(slices.DeleteFunc(d.pending, func(s action) bool { return s.topic == "" }))
}

// Restore stops all tasks with a commit, discards their state, and starts them again on state restored from the
// changelogs.
func (d *Driver) Restore() {
	d.t.Helper()
	d.Commit()
	d.close()
	for _, r := range d.runners {
		d.must(errors.Join(r.wipe(), r.restore()))
	}
	d.open()
}

func (d *Driver) close() {
	for _, r := range d.runners {
		r.task.Close()
	}
}

// rollback returns to the last commit and pipes the given records again.
func (d *Driver) rollback(again []action) {
	d.t.Helper()
	again = slices.Clone(again)
	for _, r := range d.runners {
		r.task.Rollback()
		r.up.rollback()
		clear(r.queues)
	}
	for _, g := range d.globals {
		d.must(g.rollback())
	}
	d.sent, d.drops = d.sent[:d.committed.sent], d.drops[:d.committed.drops]
	d.offsets, d.pending = maps.Clone(d.committed.offsets), nil
	for _, s := range again {
		d.pending = append(d.pending, s)
		d.must(d.do(s))
	}
}

// Drops returns all records that were dropped so far, in order.
func (d *Driver) Drops() []engine.Drop { return slices.Clone(d.drops) }

// StreamTime returns the stream time of a sub-topology, the largest of its tasks, or -1 if it has processed nothing.
func (d *Driver) StreamTime(subTopology string) int64 {
	d.t.Helper()
	known, largest := false, int64(-1)
	for _, r := range d.runners {
		if r.sub.Name() == subTopology {
			known, largest = true, max(largest, r.task.StreamTime())
		}
	}
	if !known {
		d.t.Fatalf("topology %q has no sub-topology %q", d.top.Name(), subTopology)
	}
	return largest
}
