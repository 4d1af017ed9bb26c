package broker

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fill writes n records of 100 bytes to a topic of 4 partitions, in
// transactions of 1000.
func fill(b *testing.B, dir string, n int) {
	broker, err := StartEmbedded(b.Context(), EmbeddedConfig{Dir: dir, NoSync: true})
	require.NoError(b, err)
	defer broker.Close()
	client, err := Connect(b.Context(), Config{Brokers: broker.Addrs()})
	require.NoError(b, err)
	defer client.Close()
	require.NoError(b, client.EnsureTopics(b.Context(), TopicSpec{Name: "events", Partitions: 4, Kind: EventLog}))
	kafka, err := kgo.NewClient(append(client.Options(), kgo.TransactionalID("filler"))...)
	require.NoError(b, err)
	defer kafka.Close()
	value := make([]byte, 100)
	for done := 0; done < n; done += 1000 {
		require.NoError(b, kafka.BeginTransaction())
		for i := range 1000 {
			kafka.Produce(b.Context(), &kgo.Record{Topic: "events", Key: fmt.Append(nil, done+i), Value: value}, nil)
		}
		require.NoError(b, kafka.Flush(b.Context()))
		require.NoError(b, kafka.EndTransaction(b.Context(), kgo.TryCommit))
	}
}

// BenchmarkStartEmbedded starts a broker that has 100,000 records.
func BenchmarkStartEmbedded(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "data")
	fill(b, dir, 100_000)
	clean, err := readCheckpoint(filepath.Join(dir, checkpointFile))
	require.NoError(b, err)
	for _, run := range []struct {
		name       string
		checkpoint checkpoint
	}{
		{"clean", clean},
		{"crashed", clean.with(false, nil)},
		{"crashed-no-checkpoint", checkpoint{}},
	} {
		b.Run(run.name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				require.NoError(b, run.checkpoint.write(filepath.Join(dir, checkpointFile)))
				b.StartTimer()
				broker, err := StartEmbedded(b.Context(), EmbeddedConfig{Dir: dir})
				require.NoError(b, err)
				b.StopTimer()
				require.NoError(b, broker.Close())
			}
		})
	}
}

// BenchmarkTransaction commits one record and one offset at a time.
func BenchmarkTransaction(b *testing.B) {
	for _, run := range []struct {
		name   string
		config EmbeddedConfig
	}{
		{"memory", EmbeddedConfig{}},
		{"unsynced", EmbeddedConfig{Dir: filepath.Join(b.TempDir(), "unsynced"), NoSync: true}},
		{"synced", EmbeddedConfig{Dir: filepath.Join(b.TempDir(), "synced")}},
	} {
		b.Run(run.name, func(b *testing.B) {
			broker := startBroker(b, run.config)
			client := connect(b, broker.Addrs())
			require.NoError(b, client.EnsureTopics(b.Context(),
				TopicSpec{Name: crashInput, Partitions: 1, Kind: EventLog},
				TopicSpec{Name: "events", Partitions: 1, Kind: EventLog}))
			kafka := newKafka(b, broker.Addrs(), kgo.TransactionalID("w"))
			for b.Loop() {
				require.NoError(b, kafka.BeginTransaction())
				require.NoError(b, kafka.ProduceSync(b.Context(), &kgo.Record{Topic: "events"}).FirstErr())
				require.NoError(b, addOffset(b.Context(), kafka, "w", 0, int64(b.N)))
				require.NoError(b, kafka.EndTransaction(b.Context(), kgo.TryCommit))
			}
		})
	}
}
