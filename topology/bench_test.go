package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// discard is a Sink that forgets.
type discard struct{}

func (discard) Send(string, engine.RawRecord) error { return nil }

// numbers is a topology that reads int64 keys and values from "in": codecs that allocate nothing.
func numbers(tb testing.TB, define func(s topology.Stream[int64, int64]), opts ...topology.SourceOption) *engine.Task {
	tb.Helper()
	task, _ := newTask(tb, func(b *topology.Builder) { define(topology.Source(b, "in", codecs.Int64, codecs.Int64, opts...)) })
	return task
}

// newTask is a task of the first sub-topology on empty state, whose output is forgotten.
func newTask(tb testing.TB, define func(b *topology.Builder)) (*engine.Task, state.Partition) {
	tb.Helper()
	part, err := state.NewMemory().Open(0)
	require.NoError(tb, err)
	task, err := build(tb, "bench", define).SubTopologies()[0].NewTask(engine.TaskConfig{
		State: part, Sink: discard{}, Partitions: func(string) (int32, error) { return 4, nil },
	})
	require.NoError(tb, err)
	tb.Cleanup(task.Close)
	return task, part
}

// commit commits the task on its state.
func commit(tb testing.TB, task *engine.Task, part state.Partition, batch *state.Batch) {
	tb.Helper()
	batch.Reset()
	require.NoError(tb, task.Flush(batch))
	require.NoError(tb, part.Apply(batch))
	task.Committed()
}

// records are encoded records with the given number of keys, one millisecond apart.
func records(tb testing.TB, n, keys int) []engine.RawRecord {
	tb.Helper()
	out := make([]engine.RawRecord, n)
	for i := range out {
		key, err := codecs.Int64.Append(nil, int64(i%keys))
		require.NoError(tb, err)
		value, err := codecs.Int64.Append(nil, int64(i))
		require.NoError(tb, err)
		out[i] = engine.RawRecord{Key: key, Value: value, Timestamp: int64(i), Offset: int64(i)}
	}
	return out
}

func benchmark(b *testing.B, task *engine.Task) {
	b.Helper()
	in := records(b, 4096, 1000)
	run := func(i int) {
		if err := task.Process(0, &in[i%len(in)]); err != nil {
			b.Fatal(err)
		}
	}
	for i := range in { // fill the caches
		run(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		run(i)
	}
}

func BenchmarkFilterMapValues(b *testing.B) {
	benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
		s.Filter(func(_, v int64) bool { return v >= 0 }).MapValues(func(v int64) int64 { return v + 1 }).To("out", codecs.Int64, codecs.Int64)
	}))
}

func BenchmarkCount(b *testing.B) {
	benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) { s.GroupByKey().Count("counts") }))
}

func BenchmarkCountTo(b *testing.B) {
	benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().Count("counts").ToStream().To("out", codecs.Int64, codecs.Int64)
	}))
}

func BenchmarkTumblingCount(b *testing.B) {
	benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().WindowedBy(topology.Tumbling(10 * time.Second)).Count("counts")
	}))
}

func BenchmarkTumblingCountOnClose(b *testing.B) {
	benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().WindowedBy(topology.Tumbling(10 * time.Second)).EmitOnClose().Count("counts")
	}))
}

// Each record is in two windows.
func BenchmarkHoppingCount(b *testing.B) {
	benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().WindowedBy(topology.Hopping(10*time.Second, 5*time.Second)).Count("counts")
	}))
}

func BenchmarkReduce(b *testing.B) {
	benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().Reduce("sums", func(sum, v int64) int64 { return sum + v }, codecs.Int64)
	}))
}

func BenchmarkCogroup(b *testing.B) {
	benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
		add := func(_, v, sum int64) int64 { return sum + v }
		s.GroupByKey().Cogroup(add).Cogroup(s.GroupByKey(), add).Aggregate("sums", func() int64 { return 0 }, codecs.Int64)
	}))
}

// advancing pipes records with times that go on: a record a millisecond, each key once a second, and a commit every
// 1000 records.
func advancing(b *testing.B, define func(s topology.Stream[int64, int64])) {
	b.Helper()
	task, part := newTask(b, func(b *topology.Builder) { define(topology.Source(b, "in", codecs.Int64, codecs.Int64)) })
	in := records(b, 1000, 1000)
	var batch state.Batch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := &in[i%len(in)]
		r.Timestamp, r.Offset = int64(i), int64(i)
		if err := task.Process(0, r); err != nil {
			b.Fatal(err)
		}
		if i%len(in) == len(in)-1 {
			commit(b, task, part, &batch)
		}
	}
}

// The windows of a key hold about three records each.
func BenchmarkSlidingCount(b *testing.B) {
	advancing(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().WindowedBy(topology.Sliding(2 * time.Second)).Count("counts")
	})
}

func BenchmarkSlidingCountOnClose(b *testing.B) {
	advancing(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().WindowedBy(topology.Sliding(2 * time.Second)).EmitOnClose().Count("counts")
	})
}

// Each record continues the session of its key.
func BenchmarkSessionCount(b *testing.B) {
	advancing(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().WindowedBySessions(topology.Sessions(2 * time.Second)).Count("counts")
	})
}

// Each record begins a session, and another one closes.
func BenchmarkSessionCountOnClose(b *testing.B) {
	advancing(b, func(s topology.Stream[int64, int64]) {
		s.GroupByKey().WindowedBySessions(topology.Sessions(500 * time.Millisecond)).EmitOnClose().Count("counts")
	})
}

func BenchmarkJoinTable(b *testing.B) {
	task, _ := newTask(b, func(b *topology.Builder) {
		stream := topology.Source(b, "in", codecs.Int64, codecs.Int64)
		table := topology.TableOf(b, "table", codecs.Int64, codecs.Int64)
		stream.JoinTable(table, func(v, row int64) int64 { return v + row }).To("out", codecs.Int64, codecs.Int64)
	})
	rows := records(b, 1000, 1000)
	for i := range rows {
		require.NoError(b, task.Process(1, &rows[i]))
	}
	benchmark(b, task)
}
