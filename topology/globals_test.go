package topology_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// numberedRows is a global table of numbers that counts its lookups.
type numberedRows struct {
	rows    map[string][]byte
	version uint64
	gets    int
	err     error
}

func (r *numberedRows) Version() uint64 { return r.version }

func (r *numberedRows) Get(dst, key []byte) ([]byte, bool, error) {
	r.gets++
	row, ok := r.rows[string(key)]
	return append(dst, row...), ok, r.err
}

func (r *numberedRows) put(t *testing.T, key, value int64) {
	t.Helper()
	k, err := codecs.Int64.Append(nil, key)
	require.NoError(t, err)
	v, err := codecs.Int64.Append(nil, value)
	require.NoError(t, err)
	r.rows[string(state.AppendRowKey(nil, "table", k))] = state.AppendRowValue(nil, 0, v)
	r.version++
}

type lastNumber struct{ value int64 }

func (s *lastNumber) Send(_ string, r engine.RawRecord) (err error) {
	s.value, err = codecs.Int64.Decode(r.Value)
	return err
}

func globalTask(t *testing.T, rows engine.GlobalRows, sink engine.Sink) *engine.Task {
	t.Helper()
	return taskOf(t, rows, sink, func(in topology.Stream[int64, int64], table topology.GlobalTable[int64, int64]) topology.Stream[int64, int64] {
		return in.LeftJoinGlobal(table, func(key, _ int64) (int64, bool) { return key, true }, func(v int64, row *int64) int64 {
			if row == nil {
				return -1
			}
			return v + *row
		})
	})
}

// taskOf returns a task that reads "in" and the global table "table".
func taskOf(
	t *testing.T, rows engine.GlobalRows, sink engine.Sink,
	define func(in topology.Stream[int64, int64], table topology.GlobalTable[int64, int64]) topology.Stream[int64, int64],
) *engine.Task {
	t.Helper()
	b := topology.NewBuilder("app")
	table := topology.GlobalTableOf(b, "table", codecs.Int64, codecs.Int64)
	define(topology.Source(b, "in", codecs.Int64, codecs.Int64), table).To("out", codecs.Int64, codecs.Int64)
	top, err := b.Build()
	require.NoError(t, err)
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	task, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{
		State: part, Sink: sink, Globals: func(string) engine.GlobalRows { return rows },
	})
	require.NoError(t, err)
	t.Cleanup(task.Close)
	return task
}

func TestJoinGlobal_allocatesNothing(t *testing.T) {
	rows := &numberedRows{rows: make(map[string][]byte)}
	for key := range int64(5) {
		rows.put(t, key, key) // the others have none
	}
	allocatesNothing(t, globalTask(t, rows, discard{}))
}

// A row that does not change is looked up once, and a change of any row is seen.
func TestJoinGlobal_seesChangesAtOnce(t *testing.T) {
	rows, sink := &numberedRows{rows: make(map[string][]byte)}, &lastNumber{}
	task := globalTask(t, rows, sink)
	look := func(key int64) int64 {
		k, err := codecs.Int64.Append(nil, key)
		require.NoError(t, err)
		v, err := codecs.Int64.Append(nil, 100)
		require.NoError(t, err)
		require.NoError(t, task.Process(0, &engine.RawRecord{Key: k, Value: v}))
		return sink.value
	}
	require.EqualValues(t, -1, look(1))
	require.EqualValues(t, -1, look(1))
	require.Equal(t, 1, rows.gets)
	rows.put(t, 1, 7)
	require.EqualValues(t, 107, look(1))
	rows.put(t, 2, 8)
	require.EqualValues(t, 107, look(1))
	require.EqualValues(t, 107, look(1))
	require.Equal(t, 3, rows.gets)
	for key := range int64(5000) { // more than are kept
		rows.put(t, key, key)
	}
	for key := range int64(5000) {
		require.Equal(t, 100+key, look(key))
	}
	clear(rows.rows)
	rows.version++
	require.EqualValues(t, -1, look(4999))
}

// A failure to read the table is not attributed to the record.
func TestJoinGlobal_aTableThatFailsIsNotTheRecordsFault(t *testing.T) {
	failure := errors.New("disk")
	task := globalTask(t, &numberedRows{err: failure}, discard{})
	err := task.Process(0, &engine.RawRecord{Key: make([]byte, 8), Value: make([]byte, 8)})
	require.ErrorIs(t, err, failure)
	require.ErrorContains(t, err, `node "left-join-global-1": topic "in" partition 0 offset 0: global table "table": disk`)
	_, attributed := errors.AsType[*engine.RecordError](err)
	require.False(t, attributed)
}

// lookedUp adds to each value the number that the global table has for the key. It ignores errors.
func lookedUp(in topology.Stream[int64, int64], table topology.GlobalTable[int64, int64]) topology.Stream[int64, int64] {
	return in.ProcessValues("look-up", func(p *topology.ValuesContext[int64]) (topology.Processor[int64, int64], error) {
		rows := table.In(p)
		return func(_ context.Context, r topology.Record[int64, int64]) error {
			if n, _, ok, _ := rows.Get(r.Key); ok {
				p.Forward(r.Value + n)
			}
			return nil
		}, nil
	})
}

func TestGlobalTableIn_allocatesNothing(t *testing.T) {
	rows := &numberedRows{rows: make(map[string][]byte)}
	for key := range int64(5) {
		rows.put(t, key, key) // the others have none
	}
	allocatesNothing(t, taskOf(t, rows, discard{}, lookedUp))
}

// A failure to read the table is not attributed to the record, even if the processor ignores the error. The record is
// processed when the table can be read again.
func TestGlobalTableIn_aTableThatFailsIsNotTheRecordsFault(t *testing.T) {
	failure, sink := errors.New("disk"), &lastNumber{}
	rows := &numberedRows{rows: make(map[string][]byte), err: failure}
	rows.put(t, 1, 7)
	task := taskOf(t, rows, sink, lookedUp)
	one, err := codecs.Int64.Append(nil, 1)
	require.NoError(t, err)
	r := &engine.RawRecord{Key: one, Value: one}
	err = task.Process(0, r)
	require.ErrorIs(t, err, failure)
	require.ErrorContains(t, err, `node "look-up": topic "in" partition 0 offset 0: global table "table": disk`)
	_, attributed := errors.AsType[*engine.RecordError](err)
	require.False(t, attributed)

	task.Rollback()
	rows.err = nil
	require.NoError(t, task.Process(0, r))
	require.EqualValues(t, 8, sink.value)
}

// Build creates the processor with an empty table, a task with the table of the instance.
func TestGlobalTableIn_canBeReadWhereTheProcessorIsCreated(t *testing.T) {
	rows := &numberedRows{rows: make(map[string][]byte)}
	rows.put(t, 1, 7)
	var found []int64
	taskOf(t, rows, discard{}, func(in topology.Stream[int64, int64], table topology.GlobalTable[int64, int64]) topology.Stream[int64, int64] {
		return in.ProcessValues("look-up", func(p *topology.ValuesContext[int64]) (topology.Processor[int64, int64], error) {
			n, _, ok, err := table.In(p).Get(1)
			if ok {
				found = append(found, n)
			}
			return func(context.Context, topology.Record[int64, int64]) error { return nil }, err
		})
	})
	require.Equal(t, []int64{7}, found)
}
