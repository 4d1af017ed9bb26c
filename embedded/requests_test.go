package embedded_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
)

// A fetch that is full in the middle of an aborted transaction must say that it is one: a standby once took such
// records for committed.
func TestBroker_abortedRecordsStayHiddenFromSmallFetches(t *testing.T) {
	b := brokertest.Start(t, embedded.Config{})
	client := connect(t, b.Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: "out", Partitions: 1, Kind: broker.EventLog}))
	producer, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.TransactionalID("t"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	defer producer.Close()
	transaction := func(value string, batches int, end kgo.TransactionEndTry) {
		require.NoError(t, producer.BeginTransaction())
		for range batches {
			require.NoError(t, producer.ProduceSync(t.Context(), &kgo.Record{Topic: "out", Value: []byte(value)}).FirstErr())
		}
		require.NoError(t, producer.EndTransaction(t.Context(), end))
	}
	large := strings.Repeat("x", 2000)
	transaction("aborted "+large, 5, kgo.TryAbort)
	transaction("committed", 1, kgo.TryCommit)

	reader, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(5000), kgo.FetchMaxPartitionBytes(5000), kgo.FetchMaxWait(100*time.Millisecond))
	require.NoError(t, err)
	defer reader.Close()
	var values []string
	for len(values) == 0 {
		fetches := reader.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	require.Equal(t, []string{"committed"}, values)
}
