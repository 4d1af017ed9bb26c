// Package brokertest starts brokers for tests and looks into them. Its clients are plain franz-go clients: it imports
// nothing of this module but the embedded broker, so that the tests of internal/broker can use it from inside.
package brokertest

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/test/kafka"
)

// Start starts an embedded broker that ends with the test. The zero Config is a broker in memory.
func Start(t testing.TB, config embedded.Config) *embedded.Broker {
	t.Helper()
	b, err := embedded.Start(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// Addrs returns the addresses of the real broker that the environment names, else of an embedded one that ends with the
// test. The real one is shared with other tests: give topics and groups names of their own.
func Addrs(t testing.TB, config embedded.Config) []string {
	t.Helper()
	if addrs := os.Getenv(kafka.Env); addrs != "" {
		return strings.Split(addrs, ",")
	}
	return Start(t, config).Addrs()
}

// OnBoth runs test on an embedded broker and, where there is one, on a real Kafka. unique makes a name that no other
// run has used.
func OnBoth(t *testing.T, test func(t *testing.T, addrs []string, unique func(string) string)) {
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	unique := func(name string) string { return name + "-" + run }
	t.Run("embedded", func(t *testing.T) { test(t, Start(t, embedded.Config{}).Addrs(), unique) })
	t.Run("kafka", func(t *testing.T) { test(t, kafka.Brokers(t), unique) })
}

// NewKafka returns a client that retries quickly, leaves partitions to the records and ends with the test.
func NewKafka(t testing.TB, addrs []string, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(addrs...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
	}, options...)...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}
