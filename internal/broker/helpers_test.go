package broker

import (
	"bytes"
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/test/kafka"
)

// startBroker starts an embedded broker that ends with the test.
func startBroker(t testing.TB, config EmbeddedConfig) *Embedded {
	t.Helper()
	b, err := StartEmbedded(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// connect returns a client of the brokers at addrs that ends with the test.
func connect(t testing.TB, addrs []string) *Client {
	t.Helper()
	client, err := Connect(t.Context(), Config{Brokers: addrs})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// newKafka returns a franz-go client that retries quickly and ends with the
// test.
func newKafka(t testing.TB, addrs []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	kafka, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
	}, options...)...)
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	return kafka
}

// readCommitted returns the values of all committed records of a topic, by
// partition, in order.
func readCommitted(t testing.TB, client *Client, topic string) [][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	partitions, err := client.Partitions(ctx, topic)
	require.NoError(t, err)
	values := make([][]string, partitions)
	for p := range partitions {
		end, err := client.EndOffset(ctx, topic, p)
		require.NoError(t, err)
		start, err := client.StartOffset(ctx, topic, p)
		require.NoError(t, err)
		if start >= end {
			continue
		}
		kafka, err := kgo.NewClient(append(client.Options(),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: kgo.NewOffset().At(start)}}),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.KeepControlRecords(),
		)...)
		require.NoError(t, err)
		for position := start; position < end; {
			fetches := kafka.PollFetches(ctx)
			require.NoError(t, fetches.Err(), "%s/%d stops at %d of %d", topic, p, position, end)
			fetches.EachRecord(func(record *kgo.Record) {
				position = record.Offset + 1
				if !record.Attrs.IsControl() {
					values[p] = append(values[p], string(record.Value))
				}
			})
		}
		kafka.Close()
	}
	return values
}

// logBuffer is a log to look into.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

// onBrokers runs test on an embedded broker and, where there is one, on a real
// Kafka. unique makes a topic name that no other run has used.
func onBrokers(t *testing.T, test func(t *testing.T, addrs []string, unique func(string) string)) {
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	unique := func(name string) string { return name + "-" + run }
	t.Run("embedded", func(t *testing.T) { test(t, startBroker(t, EmbeddedConfig{}).Addrs(), unique) })
	t.Run("kafka", func(t *testing.T) { test(t, kafka.Brokers(t), unique) })
}
