package embedded_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
)

// fill writes n records of 100 bytes to a topic of 4 partitions, in transactions of 1000.
func fill(b *testing.B, dir string, n int) {
	server, err := embedded.Start(b.Context(), embedded.Config{Dir: dir, NoSync: true})
	require.NoError(b, err)
	defer server.Close()
	client, err := broker.Connect(b.Context(), broker.Config{Brokers: server.Addrs()})
	require.NoError(b, err)
	defer client.Close()
	require.NoError(b, client.EnsureTopics(b.Context(), broker.TopicSpec{Name: "events", Partitions: 4, Kind: broker.EventLog}))
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

// BenchmarkStart starts a broker that has 100,000 records.
func BenchmarkStart(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "data")
	fill(b, dir, 100_000)
	clean, err := embedded.ReadCheckpoint(filepath.Join(dir, embedded.CheckpointFile))
	require.NoError(b, err)
	for _, run := range []struct {
		name       string
		checkpoint embedded.Checkpoint
	}{
		{"clean", clean},
		{"crashed", clean.Unclean()},
		{"crashed-no-checkpoint", embedded.Checkpoint{}},
	} {
		b.Run(run.name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				require.NoError(b, run.checkpoint.Write(filepath.Join(dir, embedded.CheckpointFile)))
				b.StartTimer()
				server, err := embedded.Start(b.Context(), embedded.Config{Dir: dir})
				require.NoError(b, err)
				b.StopTimer()
				require.NoError(b, server.Close())
			}
		})
	}
}

// BenchmarkTransaction commits one record and one offset at a time.
func BenchmarkTransaction(b *testing.B) {
	for _, run := range []struct {
		name   string
		config embedded.Config
	}{
		{"memory", embedded.Config{}},
		{"unsynced", embedded.Config{Dir: filepath.Join(b.TempDir(), "unsynced"), NoSync: true}},
		{"synced", embedded.Config{Dir: filepath.Join(b.TempDir(), "synced")}},
	} {
		b.Run(run.name, func(b *testing.B) {
			server := brokertest.Start(b, run.config)
			client := connect(b, server.Addrs())
			require.NoError(b, client.EnsureTopics(b.Context(),
				broker.TopicSpec{Name: crashInput, Partitions: 1, Kind: broker.EventLog},
				broker.TopicSpec{Name: "events", Partitions: 1, Kind: broker.EventLog}))
			kafka := brokertest.NewKafka(b, server.Addrs(), kgo.TransactionalID("w"))
			for b.Loop() {
				require.NoError(b, kafka.BeginTransaction())
				require.NoError(b, kafka.ProduceSync(b.Context(), &kgo.Record{Topic: "events"}).FirstErr())
				require.NoError(b, addOffset(b.Context(), kafka, "w", 0, int64(b.N)))
				require.NoError(b, kafka.EndTransaction(b.Context(), kgo.TryCommit))
			}
		})
	}
}
