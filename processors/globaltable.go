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
	"github.com/seed84377926/millrace/internal/localcopy"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// errGlobalRebuilding says that a global table was found damaged and is being read again: some of its rows are missing.
var errGlobalRebuilding = errors.New("processors: the copy was damaged and is read again from its topic")

// Rows of the runtime in a global table.
const (
	globalTopicKey   = "\x00topic"  // the id of the topic that the rows are from
	globalOffsetsKey = "\x00offset" // and then the number of a partition: the last offset that the rows reflect
)

// globalTable is one global table: the rows of all partitions of its topic together, so that a lookup need not know
// which partition has a key. One goroutine of goka's for each partition brings rows, and all tasks read them.
type globalTable struct {
	plan   globalPlan
	logger *slog.Logger
	client *broker.Client
	engine state.Engine
	copy   *localcopy.Copy
	rows   state.Partition // for tasks
	view   *broker.TableView

	version atomic.Uint64
	records atomic.Int64 // read since the start
	key     []byte       // scratch of Append

	mu struct {
		sync.Mutex
		ends map[int32]int64 // of the topic, as of a few seconds ago
	}
}

var (
	_ localcopy.Contents = (*globalTable)(nil)
	_ engine.GlobalRows  = (*globalTable)(nil)
)

// openGlobalTable opens the rows that are on disk in engine. They are dropped if they are damaged, or if the topic does
// not begin with them.
func openGlobalTable(ctx context.Context, p globalPlan, client *broker.Client, engine state.Engine, logger *slog.Logger) (*globalTable, error) {
	t := &globalTable{plan: p, logger: logger, client: client, engine: engine}
	t.mu.ends = make(map[int32]int64)
	ends, err := client.Ends(ctx, p.Topic)
	if err != nil {
		return nil, err
	}
	t.recordEnds(ends)
	sources := make([]int32, p.partitions)
	for i := range sources {
		sources[i] = int32(i)
	}
	if t.copy, err = localcopy.Open(ctx, localcopy.Config{Engine: engine, Sources: sources, Logger: logger}, t); err != nil {
		return nil, err
	}
	t.rows = t.copy.Rows()
	return t, nil
}

// Load implements localcopy.Contents.
func (t *globalTable) Load(ctx context.Context, store state.Partition) (offsets map[int32]int64, unusable string, err error) {
	id, ok, err := store.Get(nil, []byte(globalTopicKey))
	if err != nil || !ok {
		return nil, "", err
	}
	if !bytes.Equal(id, t.plan.id[:]) {
		return nil, "the topic was deleted and created again, or this is another cluster", nil
	}
	offsets = make(map[int32]int64)
	for p := range t.plan.partitions {
		row, ok, err := store.Get(nil, globalOffsetKey(p))
		if err != nil {
			return nil, "", err
		}
		if !ok {
			continue
		}
		last := int64(binary.BigEndian.Uint64(row))
		start, err := t.client.StartOffset(ctx, t.plan.Topic, p)
		if err != nil {
			return nil, "", err
		}
		if end, known := t.end(p); known && last >= end || last+1 < start {
			return nil, fmt.Sprintf("it reflects partition %d up to offset %d, and the topic has offsets %d to %d", p, last, start, end), nil
		}
		offsets[p] = last
	}
	return offsets, "", nil
}

func globalOffsetKey(p int32) []byte {
	return binary.BigEndian.AppendUint32([]byte(globalOffsetsKey), uint32(p))
}

// Append implements localcopy.Contents.
func (t *globalTable) Append(b *state.Batch, partition int32, run localcopy.Run) error {
	for key, value := range run.Rows() {
		t.key = state.AppendRowKey(t.key[:0], t.plan.Name, key)
		if value == nil {
			b.Delete(t.key)
		} else {
			b.Set(t.key, value)
		}
	}
	b.Set([]byte(globalTopicKey), t.plan.id[:])
	b.Set(globalOffsetKey(partition), binary.BigEndian.AppendUint64(nil, uint64(run.Last())))
	return nil
}

// Applied implements localcopy.Contents.
func (t *globalTable) Applied(_ int32, run localcopy.Run) error {
	if run.Len() > 0 {
		t.version.Add(1)
	}
	t.records.Add(int64(run.Records()))
	return nil
}

// Dropped implements localcopy.Contents.
func (t *globalTable) Dropped() { t.version.Add(1) }

// Rebuilding implements localcopy.Contents. The error has the text of the cause and does not wrap it: ErrCorrupt would
// mean that the state of the task is damaged.
func (t *globalTable) Rebuilding(cause error) error {
	if cause == nil {
		return errGlobalRebuilding
	}
	return fmt.Errorf("%w: %v", errGlobalRebuilding, cause) //nolint:errorlint // see above
}

// Get implements engine.GlobalRows.
func (t *globalTable) Get(dst, key []byte) ([]byte, bool, error) { return t.rows.Get(dst, key) }

// Version implements engine.GlobalRows.
func (t *globalTable) Version() uint64 { return t.version.Load() }

// recordEnds notes where the partitions of the topic end.
func (t *globalTable) recordEnds(ends map[state.TopicPartition]broker.LogEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.plan.partitions {
		if end, ok := ends[state.TopicPartition{Topic: t.plan.Topic, Partition: p}]; ok {
			t.mu.ends[p] = max(t.mu.ends[p], end.HighWatermark)
		}
	}
}

// end returns where a partition of the topic ended a few seconds ago, and whether that is known.
func (t *globalTable) end(partition int32) (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	end, known := t.mu.ends[partition]
	return end, known
}

// remaining returns how many offsets of the topic the rows do not reflect, as of a few seconds ago.
func (t *globalTable) remaining() (n int64) {
	for p := range t.plan.partitions {
		next := int64(0)
		if last, ok := t.copy.Offset(p); ok {
			next = last + 1
		}
		end, _ := t.end(p)
		n += max(0, end-next)
	}
	return n
}
