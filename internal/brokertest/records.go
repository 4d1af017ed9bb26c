package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Records returns all committed records of a topic by partition, in order: everything below the high watermark of this
// moment. If a transaction stays open there, the test fails after half a minute.
func Records(t testing.TB, addrs []string, topic string) [][]*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	require.NoError(t, err)
	defer kafka.Close()
	admin := kadm.NewClient(kafka)
	starts, err := admin.ListStartOffsets(ctx, topic)
	require.NoError(t, err)
	require.NoError(t, starts.Error())
	ends, err := admin.ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	require.NoError(t, ends.Error())

	records := make([][]*kgo.Record, len(ends[topic]))
	from := make(map[int32]kgo.Offset)
	for p, end := range ends[topic] {
		if start := starts[topic][p]; start.Offset < end.Offset {
			from[p] = kgo.NewOffset().At(start.Offset)
		}
	}
	kafka.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for position := make(map[int32]int64); len(from) > 0; {
		fetches := kafka.PollFetches(ctx)
		require.NoError(t, fetches.Err(), "%s: the partitions %v are not read to their ends %v", topic, from, ends[topic])
		fetches.EachRecord(func(record *kgo.Record) {
			p := record.Partition
			position[p] = record.Offset + 1
			if position[p] <= ends[topic][p].Offset && !record.Attrs.IsControl() {
				records[p] = append(records[p], record)
			}
			if position[p] >= ends[topic][p].Offset {
				delete(from, p)
			}
		})
	}
	return records
}

// Values returns the values of Records.
func Values(t testing.TB, addrs []string, topic string) [][]string {
	t.Helper()
	records := Records(t, addrs, topic)
	values := make([][]string, len(records))
	for p := range records {
		for _, record := range records[p] {
			values[p] = append(values[p], string(record.Value))
		}
	}
	return values
}

// DeleteRecords deletes the records of a partition before an offset, all of them for -1.
func DeleteRecords(t testing.TB, addrs []string, topic string, partition int32, before int64) {
	t.Helper()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	defer kafka.Close()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, partition, before, -1)
	deleted, err := kadm.NewClient(kafka).DeleteRecords(t.Context(), offsets)
	require.NoError(t, err)
	require.NoError(t, deleted.Error())
}
