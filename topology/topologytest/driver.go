package topologytest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// TB is what a Driver needs of a test. A *testing.T is one, and so is [Example].
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Example is the TB of example functions, which have no test: Fatalf panics.
func Example() TB { return panics{} }

type panics struct{}

func (panics) Helper()                           {}
func (panics) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Option is an option of [NewDriver].
type Option func(*Driver)

// CommitEvery commits after every n piped records instead of each.
func CommitEvery(n int) Option {
	return func(d *Driver) { d.commitDue = func() bool { return len(d.pending) >= n } }
}

// CommitRandomly commits after one in four piped records, chosen by the seed.
func CommitRandomly(seed uint64) Option {
	const oneIn = 4
	dice := rand.New(rand.NewPCG(seed, seed))
	return func(d *Driver) { d.commitDue = func() bool { return dice.IntN(oneIn) == 0 } }
}

// CacheBytes limits the memory of all stores. With very little, nearly every read goes to the engine.
func CacheBytes(n int64) Option { return func(d *Driver) { d.cacheBytes = n } }

// OutputPartitions gives an output topic n partitions instead of one. 0 means that there is no such topic, which the functions
// of [topology.Stream.ToDynamic] can find out.
func OutputPartitions(topic string, n int32) Option {
	return func(d *Driver) { d.partitions[topic] = n }
}

// Driver runs a topology. It belongs to one goroutine. Anything that goes wrong fails the test, unless the method returns an
// error.
type Driver struct {
	t          TB
	top        *topology.Topology
	runners    []*runner
	globals    []*globalTable
	matching   []string // topics that patterns may match
	commitDue  func() bool
	cacheBytes int64
	callDice   *rand.Rand       // nil: calls end at once, in their order
	partitions map[string]int32 // of the topics that have not one

	sent    []sent           // outputs, since the beginning
	read    map[string]int   // topic to how much of sent Drain has seen
	drops   []topology.Drop  // since the beginning
	offsets map[string]int64 // next offset by topic
	pending []action         // since the last commit
	now     int64            // the wall clock

	committed struct {
		sent, drops int
		offsets     map[string]int64
	}
}

// sent is one output record.
type sent struct {
	topic     string
	partition int32
	topology.RawRecord
}

// action is one thing that the test did: it piped a record, or advanced the wall clock.
type action struct {
	topic string // "" if it was the wall clock
	topology.RawRecord
	wallClock int64
}

func (d *Driver) do(s action) error {
	if s.topic == "" {
		return d.tellTime(s.wallClock)
	}
	d.enqueue(s.topic, s.RawRecord)
	return d.run()
}

// runner runs the only task of one sub-topology.
type runner struct {
	sub        *topology.SubTopology
	task       *topology.Task
	calls      *executor
	part       state.Partition
	changelog  map[string][]byte // what Kafka would have kept
	streamTime int64             // committed
	inputs     []topology.Input
	queues     [][]topology.RawRecord // by input
}

// NewDriver starts the tasks of top on empty state.
func NewDriver(t TB, top *topology.Topology, opts ...Option) *Driver {
	t.Helper()
	d := &Driver{t: t, top: top, read: make(map[string]int), offsets: make(map[string]int64), partitions: make(map[string]int32)}
	CommitEvery(1)(d)
	for _, opt := range opts {
		opt(d)
	}
	d.must(d.matchOutputs())
	for _, sub := range d.top.SubTopologies() {
		inputs := sub.Inputs()
		d.runners = append(d.runners, &runner{
			calls: &executor{dice: d.callDice}, sub: sub, inputs: inputs, queues: make([][]topology.RawRecord, len(inputs)),
			changelog: make(map[string][]byte), streamTime: -1,
		})
	}
	for _, r := range d.runners {
		d.must(r.wipe())
	}
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

// open starts all tasks on the state that is there.
func (d *Driver) open() {
	d.t.Helper()
	budget := state.NewBudget(d.cacheBytes)
	for _, r := range d.runners {
		task, err := r.sub.NewTask(topology.TaskConfig{
			State: r.part, Budget: budget, Sink: d, Partitions: d.partitionsOf, Globals: d.globalRows, WallClock: d.now,
			Executor: r.calls,
			OnDrop:   func(drop topology.Drop) { d.drops = append(d.drops, drop) },
		})
		d.must(err)
		r.task = task
		r.task.SetStreamTime(r.streamTime)
	}
}

// wipe gives r a new engine.
func (r *runner) wipe() (err error) {
	r.part, err = state.NewMemory().Open(0)
	return err
}

// PipeRaw runs an encoded record through the topology. If it fails, state and outputs are as if the record had never been.
// A topic that no sub-topology reads is an error.
func (d *Driver) PipeRaw(topic string, r topology.RawRecord) error {
	if !d.reads(topic) && !d.discover(topic) || !d.enqueue(topic, r) {
		return fmt.Errorf("topic %q is read by no part of the topology", topic)
	}
	d.pending = append(d.pending, action{topic: topic, RawRecord: r})
	return d.settle(d.run())
}

// settle ends an action: after an error it takes the action back, else it commits if it is time to.
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

// Send implements topology.Sink.
func (d *Driver) Send(topic string, r topology.RawRecord) error {
	partitions, err := d.partitionsOf(topic)
	if err != nil {
		return err
	}
	d.sent = append(d.sent, sent{topic, partitionOf(r, partitions), r})
	d.enqueue(topic, r)
	return nil
}

func (d *Driver) partitionsOf(topic string) (int32, error) {
	n, ok := d.partitions[topic]
	switch {
	case !ok:
		return 1, nil
	case n <= 0:
		return 0, errors.New("it does not exist; create it or correct its name")
	default:
		return n, nil
	}
}

// partitionOf returns the partition of an output record. Records without a key and a place are in the first.
func partitionOf(r topology.RawRecord, partitions int32) int32 {
	switch {
	case r.Pinned:
		return r.Partition
	case r.PartitionKey != nil:
		return topology.Partition(r.PartitionKey, partitions)
	case r.Key != nil:
		return topology.Partition(r.Key, partitions)
	default:
		return 0
	}
}

// enqueue gives r the next offset of the topic and puts it before all tasks that read the topic.
func (d *Driver) enqueue(topic string, r topology.RawRecord) (read bool) {
	r.Offset, r.PartitionKey, r.Pinned, r.Partition = d.offsets[topic], nil, false, 0
	d.offsets[topic]++
	for _, runner := range d.runners {
		for i, input := range runner.inputs {
			if input.Topic == topic {
				runner.queues[i] = append(runner.queues[i], r)
				read = true
			}
		}
	}
	for _, g := range d.globals {
		if g.topic == topic {
			g.queue = append(g.queue, r)
			read = true
		}
	}
	return read
}

// run processes all that is queued, whichever sub-topology it leads to, and the results of calls that end now.
func (d *Driver) run() error {
	for {
		if err := d.runQueued(); err != nil {
			return err
		}
		some, err := d.runCalls(d.callDice == nil)
		if err != nil || !some {
			return err
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
	for i := 0; i < len(d.runners); {
		if err := d.updateGlobals(); err != nil {
			return err
		}
		done, err := d.runners[i].step()
		if err != nil {
			return err
		}
		if done {
			i++
		} else {
			i = 0
		}
	}
	return nil
}

// queued reports whether a task has something to process.
func (d *Driver) queued() bool {
	return slices.ContainsFunc(d.runners, func(r *runner) bool {
		return slices.ContainsFunc(r.queues, func(queue []topology.RawRecord) bool { return len(queue) > 0 })
	})
}

// step processes the queued record with the smallest timestamp; done means that there is none.
func (r *runner) step() (done bool, err error) {
	first := -1
	var earliest int64
	for i, queue := range r.queues {
		if len(queue) == 0 {
			continue
		}
		timestamp := r.task.Timestamp(i, &queue[0], r.task.PartitionTime(i))
		if first < 0 || timestamp < earliest {
			first, earliest = i, timestamp
		}
	}
	if first < 0 {
		return true, nil
	}
	record := r.queues[first][0]
	r.queues[first] = r.queues[first][1:]
	if err := r.task.Process(first, &record); err != nil {
		return false, fmt.Errorf("sub-topology %q: record %s: %w", r.sub.Name(), printRaw(record), err)
	}
	return false, nil
}

func printRaw(r topology.RawRecord) string {
	return fmt.Sprintf("%q -> %q @%d", r.Key, r.Value, r.Timestamp)
}

// Commit commits all tasks, those behind others again if these sent them something at their commit. It waits for the calls of
// asynchronous operators.
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

func (r *runner) commit() error {
	var batch state.Batch
	if err := r.task.Flush(&batch); err != nil {
		return err
	}
	if err := r.part.Apply(&batch); err != nil {
		return fmt.Errorf("commit sub-topology %q: %w", r.sub.Name(), err)
	}
	r.task.Committed()
	r.streamTime = r.task.StreamTime()
	for op := range batch.Ops() {
		switch {
		case op.Local:
		case op.Value == nil:
			delete(r.changelog, string(op.Key))
		default:
			r.changelog[string(op.Key)] = slices.Clone(op.Value)
		}
	}
	return nil
}

// Restart stops all tasks in order and starts them again on their state.
func (d *Driver) Restart() {
	d.t.Helper()
	d.Commit()
	d.close()
	d.open()
}

// Crash stops all tasks without a commit, starts them again on their state and pipes again what was not committed. Outputs
// that were not committed are taken back. The wall clock goes on from where it is.
func (d *Driver) Crash() {
	d.t.Helper()
	d.close()
	d.open()
	d.rollback(slices.DeleteFunc(d.pending, func(s action) bool { return s.topic == "" }))
}

// Restore stops all tasks in order, loses their state and starts them again on state restored from the changelogs.
func (d *Driver) Restore() {
	d.t.Helper()
	d.Commit()
	d.close()
	for _, r := range d.runners {
		d.must(errors.Join(r.wipe(), r.restore()))
	}
	d.open()
}

// restore rebuilds the state from the changelog.
func (r *runner) restore() error {
	layout, err := state.NewLayout(r.sub.Stores()...)
	if err != nil {
		return err
	}
	var batch state.Batch
	for _, key := range slices.Sorted(maps.Keys(r.changelog)) {
		known, err := layout.RestoreRow(&batch, []byte(key), r.changelog[key])
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("restore sub-topology %q: no store knows the row %q", r.sub.Name(), key)
		}
	}
	return r.part.Apply(&batch)
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
func (d *Driver) Drops() []topology.Drop { return slices.Clone(d.drops) }

// StreamTime returns the stream time of a sub-topology's task, -1 if it has processed nothing.
func (d *Driver) StreamTime(subTopology string) int64 {
	d.t.Helper()
	for _, r := range d.runners {
		if r.sub.Name() == subTopology {
			return r.task.StreamTime()
		}
	}
	d.t.Fatalf("topology %q has no sub-topology %q", d.top.Name(), subTopology)
	return 0
}
