package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// benchmarkWindows pipes a record of each of 20,000 keys a second, with a commit every 5,000 records, to a task with a
// database. The time of commits is not in the figure; it is reported beside it.
func benchmarkWindows(b *testing.B, define func(s topology.GroupedStream[int64, int64])) {
	b.Helper()
	const keys, perMillisecond, perCommit = 20_000, 20, 5000
	disk, err := pebblestore.Open(b.TempDir(), pebblestore.Options{})
	require.NoError(b, err)
	part, err := disk.Open(0)
	require.NoError(b, err)
	task, err := build(b, "bench", func(b *topology.Builder) {
		define(topology.Source(b, "in", codecs.Int64, codecs.Int64).GroupByKey())
	}).SubTopologies()[0].NewTask(engine.TaskConfig{
		State: part, Sink: discard{}, Partitions: func(string) (int32, error) { return 4, nil },
	})
	require.NoError(b, err)
	in := records(b, keys, keys)
	var batch state.Batch
	var committing time.Duration
	i := 0
	one := func() {
		r := &in[i*7919%keys]
		r.Timestamp, r.Offset = int64(i/perMillisecond), int64(i)
		if err := task.Process(0, r); err != nil {
			b.Fatal(err)
		}
		if i++; i%perCommit == 0 {
			began := time.Now()
			b.StopTimer()
			commit(b, task, part, &batch)
			b.StartTimer()
			committing += time.Since(began)
		}
	}
	for range 3 * keys {
		one()
	}
	committing = 0
	b.ReportAllocs()
	for b.Loop() {
		one()
	}
	b.ReportMetric(float64(committing.Nanoseconds())/float64(b.N), "commit-ns/op")
	task.Close()
	require.NoError(b, disk.Close())
}

func BenchmarkWindows(b *testing.B) {
	for name, define := range map[string]func(s topology.GroupedStream[int64, int64]){
		"tumbling": func(s topology.GroupedStream[int64, int64]) {
			s.WindowedBy(topology.Tumbling(2 * time.Second)).Count("counts")
		},
		"sliding": func(s topology.GroupedStream[int64, int64]) {
			s.WindowedBy(topology.Sliding(2 * time.Second)).Count("counts")
		},
		"sliding on close": func(s topology.GroupedStream[int64, int64]) {
			s.WindowedBy(topology.Sliding(2 * time.Second)).EmitOnClose().Count("counts")
		},
		"session": func(s topology.GroupedStream[int64, int64]) {
			s.WindowedBySessions(topology.Sessions(2 * time.Second)).Count("counts")
		},
		// Each record begins a session.
		"session on close": func(s topology.GroupedStream[int64, int64]) {
			s.WindowedBySessions(topology.Sessions(500 * time.Millisecond)).EmitOnClose().Count("counts")
		},
		"session suppressed": func(s topology.GroupedStream[int64, int64]) {
			s.WindowedBySessions(topology.Sessions(2*time.Second).Grace(0)).Count("counts").
				Suppress("final", topology.UntilWindowCloses())
		},
	} {
		b.Run(name, func(b *testing.B) { benchmarkWindows(b, define) })
	}
}
