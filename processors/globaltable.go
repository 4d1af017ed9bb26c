package processors

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// errGlobalRebuilding says that a global table was found damaged and is read again: what is there is not all.
var errGlobalRebuilding = errors.New("it was damaged and is read again from its topic")

// Rows of the runtime in a global table.
const (
	globalTopicKey   = "\x00topic"  // the id of the topic that the rows are from
	globalOffsetsKey = "\x00offset" // with the number of a partition behind it: the last offset that the rows reflect
)

// globalTable is one global table: the rows of all partitions of its topic together, so that it does not matter which partition
// has a key. One goroutine of goka's for each partition brings rows, and all tasks read them.
type globalTable struct {
	plan   globalPlan
	logger *slog.Logger
	engine state.Engine
	part   state.Partition
	view   *broker.TableView

	version    atomic.Uint64
	records    atomic.Int64 // read since the start
	damaged    atomic.Int64 // times that it was dropped
	rebuilding atomic.Bool

	mu struct {
		sync.Mutex // held while rows are applied or dropped
		// restart is closed, by partition, when the rows are dropped, until goka asks where to read on.
		restart map[int32]chan struct{}
		goals   map[int32]int64 // offsets that must be reached again before the rows are read; empty if they may be
		offsets map[int32]int64 // the last ones that the rows reflect
		ends    map[int32]int64 // of the topic, as of a few seconds ago
		batch   state.Batch
		key     []byte
	}
}

func newGlobalTable(p globalPlan, logger *slog.Logger) *globalTable {
	t := &globalTable{plan: p, logger: logger}
	t.mu.restart, t.mu.goals = make(map[int32]chan struct{}), make(map[int32]int64)
	t.mu.offsets, t.mu.ends = make(map[int32]int64), make(map[int32]int64)
	return t
}

// open opens what is on the disk. It is dropped if it is damaged, or not a beginning of what the topic has now.
func (t *globalTable) open(ctx context.Context, client *broker.Client) error {
	ends, err := client.Ends(ctx, t.plan.Topic)
	if err != nil {
		return err
	}
	t.known(ends)
	t.mu.Lock()
	defer t.mu.Unlock()
	reason, err := t.load(ctx, client)
	if errors.Is(err, pebblestore.ErrCorrupt) {
		t.damaged.Add(1)
		reason, err = err.Error(), nil
	}
	if err != nil || reason == "" {
		return err
	}
	t.logger.Warn("what is on the disk of a global table cannot be used; it is read from its topic again", slog.String("reason", reason))
	clear(t.mu.offsets)
	if err := t.engine.Drop(0); err != nil {
		return err
	}
	t.part, err = t.engine.Open(0)
	return err
}

// load reads the offsets, and says why the rows cannot be used. The lock is held.
func (t *globalTable) load(ctx context.Context, client *broker.Client) (reason string, err error) {
	if t.part, err = t.engine.Open(0); err != nil {
		return "", err
	}
	id, ok, err := t.part.Get(nil, []byte(globalTopicKey))
	if err != nil || !ok {
		return "", err
	}
	if !bytes.Equal(id, t.plan.id[:]) {
		return "the topic was deleted and created again, or this is another cluster", nil
	}
	for p := range t.plan.partitions {
		row, ok, err := t.part.Get(nil, globalOffsetKey(p))
		if err != nil {
			return "", err
		}
		if !ok {
			continue
		}
		last := int64(binary.BigEndian.Uint64(row))
		start, err := client.StartOffset(ctx, t.plan.Topic, p)
		if err != nil {
			return "", err
		}
		if end, known := t.mu.ends[p]; known && last >= end || last+1 < start {
			return fmt.Sprintf("it reflects partition %d up to offset %d, and the topic has offsets %d to %d", p, last, start, end), nil
		}
		t.mu.offsets[p] = last
	}
	return "", nil
}

func globalOffsetKey(p int32) []byte {
	return binary.BigEndian.AppendUint32([]byte(globalOffsetsKey), uint32(p))
}

// known notes where the topic ends.
func (t *globalTable) known(ends map[state.TopicPartition]broker.LogEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.plan.partitions {
		if end, ok := ends[state.TopicPartition{Topic: t.plan.Topic, Partition: p}]; ok {
			t.mu.ends[p] = max(t.mu.ends[p], end.HighWatermark)
		}
	}
}

// remaining returns how many offsets of the topic the rows do not reflect, as of a few seconds ago.
func (t *globalTable) remaining() (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, end := range t.mu.ends {
		next := int64(0)
		if last, ok := t.mu.offsets[p]; ok {
			next = last + 1
		}
		n += max(0, end-next)
	}
	return n
}

// restarted returns a channel that is closed when a partition must be read anew. goka asks for it after the offset: if the rows were
// dropped in between, it is closed already, since what goka is about to read is behind them.
func (t *globalTable) restarted(partition int32) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.restart(partition)
}

// restart returns the channel of a partition. The lock is held.
func (t *globalTable) restart(partition int32) chan struct{} {
	restart := t.mu.restart[partition]
	if restart == nil {
		restart = make(chan struct{})
		t.mu.restart[partition] = restart
	}
	return restart
}

// Get implements topology.GlobalRows.
func (t *globalTable) Get(dst, key []byte) ([]byte, bool, error) {
	before := t.damaged.Load()
	value, ok, err := t.part.Get(dst, key)
	if t.rebuilding.Load() || t.damaged.Load() != before { // the row may have been dropped just before it was read
		return dst, false, errGlobalRebuilding
	}
	if !errors.Is(err, pebblestore.ErrCorrupt) {
		return value, ok, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rebuild(err)
	return dst, false, fmt.Errorf("%w: %v", errGlobalRebuilding, err) //nolint:errorlint // it is not the state of the task that is damaged
}

// Version implements topology.GlobalRows.
func (t *globalTable) Version() uint64 { return t.version.Load() }

// rebuild drops the rows and lets goka read the topic from the beginning. The lock is held. Who meets the same damage later
// comes too late: the rebuild is under way.
func (t *globalTable) rebuild(err error) {
	if t.rebuilding.Load() {
		return
	}
	t.logger.Error("global table is damaged; it is dropped and read again from its topic", slog.Any("error", err))
	t.damaged.Add(1)
	t.rebuilding.Store(true)
	if err := t.engine.Drop(0); err != nil {
		t.logger.Error("damaged global table cannot be dropped; it is tried again", slog.Any("error", err))
		t.rebuilding.Store(false)
		return
	}
	for p, last := range t.mu.offsets {
		t.mu.goals[p] = last
		close(t.restart(p))
	}
	clear(t.mu.offsets)
	t.rebuilding.Store(len(t.mu.goals) > 0)
	t.version.Add(1)
}

// globalPartition is where goka puts the rows of one partition of a topic (broker.TableStore).
type globalPartition struct {
	table     *globalTable
	partition int32
}

func (p globalPartition) Get(dst, key []byte) ([]byte, bool, error) { return p.table.Get(dst, key) }

// Offset is asked for when goka begins to read.
func (p globalPartition) Offset() (int64, bool) {
	t := p.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if isClosed(t.restart(p.partition)) {
		delete(t.mu.restart, p.partition)
	}
	last, ok := t.mu.offsets[p.partition]
	return last, ok
}

// Restore applies rows together with the offset that they come up to.
func (p globalPartition) Restore(run *broker.Run) error {
	t := p.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if isClosed(t.restart(p.partition)) {
		return fmt.Errorf("%w: rows up to %d of partition %d were read for what was dropped", errGlobalRebuilding, run.Last(), p.partition)
	}
	batch := &t.mu.batch
	batch.Reset()
	for key, value := range run.Rows() {
		t.mu.key = state.AppendRowKey(t.mu.key[:0], t.plan.Name, key)
		if value == nil {
			batch.Delete(t.mu.key)
		} else {
			batch.Set(t.mu.key, value)
		}
	}
	batch.Set([]byte(globalTopicKey), t.plan.id[:])
	batch.Set(globalOffsetKey(p.partition), binary.BigEndian.AppendUint64(nil, uint64(run.Last())))
	if err := t.part.Apply(batch); err != nil {
		if errors.Is(err, pebblestore.ErrCorrupt) {
			t.rebuild(err)
		}
		return err
	}
	if run.Len() > 0 {
		t.version.Add(1)
	}
	if batch.Size() > largeBatch {
		t.mu.batch = state.Batch{}
	}
	t.records.Add(int64(run.Records()))
	t.mu.offsets[p.partition] = run.Last()
	if goal, ok := t.mu.goals[p.partition]; ok && run.Last() >= goal {
		delete(t.mu.goals, p.partition)
		if len(t.mu.goals) == 0 {
			t.rebuilding.Store(false)
			t.logger.Info("global table is read again")
		}
	}
	return nil
}
