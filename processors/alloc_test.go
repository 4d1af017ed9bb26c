package processors_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// paths are topologies whose functions and codecs allocate nothing, so that every allocation is the framework's.
var paths = map[string]func(lines topology.Stream[int64, int64]){
	"count": func(lines topology.Stream[int64, int64]) { lines.GroupByKey().Count("counts") },
	"stateless chain to a topic": func(lines topology.Stream[int64, int64]) {
		lines.Filter(func(_, v int64) bool { return v >= 0 }).MapValues(func(v int64) int64 { return v + 1 }).
			To("out", codecs.Int64, codecs.Int64)
	},
	// One record in ten begins a window.
	"tumbling windows": func(lines topology.Stream[int64, int64]) {
		lines.GroupByKey().WindowedBy(topology.Tumbling(10 * time.Second)).Count("counts")
	},
	// Each record extends its session, which writes another row.
	"sessions": func(lines topology.Stream[int64, int64]) {
		lines.GroupByKey().WindowedBySessions(topology.Sessions(10 * time.Second)).Count("counts")
	},
}

// rowsOf is how many new rows a record of a path makes. Each takes two allocations, one of them for its key, and a
// share of those of pebble, which writes it to tables and merges these as fast as the machine lets it.
var rowsOf = map[string]float64{"tumbling windows": 0.1, "sessions": 1}

// fill writes n records with a thousand keys to the topic lines, a millisecond apart, so that each key comes once a
// second.
func (b *bench) fill(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		key, err := codecs.Int64.Append(nil, int64(i%1000))
		require.NoError(t, err)
		r := &kgo.Record{Topic: "lines", Key: key, Value: key, Timestamp: time.UnixMilli(int64(i))}
		b.kafka.Produce(t.Context(), r, nil)
	}
	require.NoError(t, b.kafka.Flush(t.Context()))
}

// allocations runs a topology over n records, from the fetch to the commit on a broker in this process, and returns how
// many objects were allocated while it processed the second half, broker and clients included.
func (b *bench) allocations(t *testing.T, path func(topology.Stream[int64, int64]), n int) uint64 {
	t.Helper()
	builder := topology.NewBuilder("app")
	path(topology.Source(builder, "lines", codecs.Int64, codecs.Int64))
	top, err := builder.Build()
	require.NoError(t, err)
	// The commits are counted in records: a slow machine makes no more of them than a fast one.
	app, err := processors.New(top, processors.Config{
		Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Minute, TransactionTimeout: 5 * time.Minute, CommitRecords: 10_000,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond) // asking allocates, too
	defer tick.Stop()
	wait := func(records int) {
		for app.Processed() < int64(records) {
			<-tick.C
		}
	}
	var before, after runtime.MemStats
	wait(n / 2)
	runtime.ReadMemStats(&before)
	wait(n)
	runtime.ReadMemStats(&after)
	cancel()
	require.NoError(t, <-done)
	return after.Mallocs - before.Mallocs
}

// TestRun_allocatesNothingPerRecord holds the hot path to its budget: allocations belong to batches, requests and
// commits, which thousands of records share.
func TestRun_allocatesNothingPerRecord(t *testing.T) {
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			const n = 200_000
			b := newBench(t, map[string]int32{"lines": 1, "out": 1})
			b.fill(t, n)
			perRecord := float64(b.allocations(t, path, n)) / (n / 2)
			t.Logf("%.3f allocations per record", perRecord)
			require.Less(t, perRecord, 0.5+3*rowsOf[name], "allocations per record of %s", name)
		})
	}
}
