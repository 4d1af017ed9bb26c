package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/views"
)

func testLogger(t *testing.T) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type cluster struct {
	brokers []string
	kafka   *kgo.Client
	admin   *kadm.Client
}

func openCluster(t *testing.T) *cluster {
	t.Helper()
	addrs := brokertest.Addrs(t, embedded.Config{
		Dir: t.TempDir(), Logger: testLogger(t),
		NoSync: true, // no test outlives the machine
	})
	kafka, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ProducerLinger(0))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	return &cluster{brokers: addrs, kafka: kafka, admin: kadm.NewClient(kafka)}
}

// createTopics gives every test topics of its own, so that a shared real broker can be used again.
func (c *cluster) createTopics(t *testing.T, topics ...string) {
	t.Helper()
	c.createSized(t, partitions, topics...)
}

func (c *cluster) createSized(t *testing.T, partitions int32, topics ...string) {
	t.Helper()
	responses, err := c.admin.CreateTopics(t.Context(), partitions, 1, nil, topics...)
	require.NoError(t, err)
	for _, r := range responses {
		require.NoError(t, r.Err)
	}
	// A broker may answer that they are created before it knows them.
	require.Eventually(t, func() bool {
		ends, err := c.admin.ListEndOffsets(t.Context(), topics...)
		if err != nil || ends.Error() != nil {
			return false
		}
		return !slices.ContainsFunc(topics, func(topic string) bool { return len(ends[topic]) < int(partitions) })
	}, waitLong, tick)
}

// Names differ from the names of earlier runs on the same broker, too.
var (
	firstName = time.Now().UnixNano()
	names     atomic.Int64
)

func unique(name string) string { return fmt.Sprintf("%s-%d", name, firstName+names.Add(1)) }

// produceAll produces records and returns the offsets after them.
func (c *cluster) produceAll(t *testing.T, records ...*kgo.Record) state.Offsets {
	t.Helper()
	offsets := make(state.Offsets)
	for _, r := range c.kafka.ProduceSync(t.Context(), records...) {
		require.NoError(t, r.Err)
		tp := state.TopicPartition{Topic: r.Record.Topic, Partition: r.Record.Partition}
		offsets[tp] = max(offsets[tp], r.Record.Offset+1)
	}
	return offsets
}

// read returns all committed records of partition 0 of a topic.
func (c *cluster) read(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	return brokertest.Records(t, c.brokers, topic)[0]
}

func (c *cluster) values(t *testing.T, topic string) (values []string) {
	t.Helper()
	for _, r := range c.read(t, topic) {
		values = append(values, string(r.Value))
	}
	return values
}

// openViews opens views of tables in a directory of their own and runs them until stop is called.
func (c *cluster) openViews(t *testing.T, tables ...state.TableRef) (v *views.Views, stop func()) {
	t.Helper()
	open, opened := context.WithTimeout(t.Context(), 30*time.Second)
	defer opened()
	v, err := views.Open(open, views.Config{Brokers: c.brokers, Dir: t.TempDir(), Logger: testLogger(t)}, tables...)
	require.NoError(t, err)
	return v, inBackground(t, v.Run)
}

// inBackground runs an application, or views, until stop is called.
func inBackground(t *testing.T, run func(ctx context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}
