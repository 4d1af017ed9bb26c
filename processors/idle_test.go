package processors_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// The last window closes although no record comes any more. But where a transaction is open, records are about to come:
// that input does not pause, and they are not late.
func TestAdvanceWhenIdle_waitsForOpenTransactions(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 2, "out": 1})
	b.kafka.Close()
	client := func(more ...kgo.Opt) *kgo.Client {
		kafka, err := kgo.NewClient(append(more, kgo.SeedBrokers(b.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		require.NoError(t, err)
		t.Cleanup(kafka.Close)
		return kafka
	}
	at := func(partition int32, timestamp int64) *kgo.Record {
		r := line(t, "key", 1)
		r.Partition, r.Timestamp = partition, time.UnixMilli(timestamp)
		return r
	}
	b.kafka = client()
	b.produce(t, at(0, 1), at(1, 2))
	writing := client(kgo.TransactionalID("writing"))
	require.NoError(t, writing.BeginTransaction())
	require.NoError(t, writing.ProduceSync(t.Context(), at(0, 3)).FirstErr())

	builder := topology.NewBuilder("app", topology.AdvanceWhenIdle(100*time.Millisecond))
	topology.Source(builder, "lines", codecs.String, codecs.Int64).GroupByKey().
		WindowedBy(topology.Tumbling(500*time.Millisecond)).EmitOnClose().Count("counts").
		ToStream(topology.WithWindow).To("out", topology.TimeWindowedCodec(codecs.String, 500*time.Millisecond), codecs.Int64)
	top, err := builder.Build()
	require.NoError(t, err)
	w := watch(t, top, processors.Config{Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Millisecond})
	defer w.stop()
	w.eventually(t, "task_process_total{group=app-counts,partition=0}", 1)
	w.eventually(t, "topic_records_produced_total{group=app-counts,partition=1,topic=out}", 1)
	require.NoError(t, writing.EndTransaction(t.Context(), kgo.TryCommit))
	w.eventually(t, "topic_records_produced_total{group=app-counts,partition=0,topic=out}", 1)
	results := client(kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	var counts []int64
	for len(counts) < 2 {
		fetches := results.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			n, err := codecs.Int64.Decode(r.Value)
			require.NoError(t, err)
			counts = append(counts, n)
		})
	}
	require.ElementsMatch(t, []int64{1, 2}, counts)
}
