package brokertest

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ProduceAt writes a record for each of the timestamps, in milliseconds, to partition 0 of a topic, in one batch. Keys
// and values are the index of the timestamp, in decimal. Unlike kgo, whose times are in nanoseconds, it writes every
// time.
func ProduceAt(t testing.TB, addrs []string, topic string, timestamps ...int64) {
	t.Helper()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	defer kafka.Close()
	metadata := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	metadata.Topics = append(metadata.Topics, asked)
	described, err := metadata.RequestWith(t.Context(), kafka)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(described.Topics[0].ErrorCode))

	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis = -1, 10_000
	to := kmsg.NewProduceRequestTopic()
	to.Topic, to.TopicID = topic, described.Topics[0].TopicID
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Records = batchAt(timestamps)
	to.Partitions = append(to.Partitions, partition)
	request.Topics = append(request.Topics, to)
	response, err := request.RequestWith(t.Context(), kafka.Broker(int(described.Topics[0].Partitions[0].Leader)))
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode))
}

// batchAt encodes a batch.
func batchAt(timestamps []int64) []byte {
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(len(timestamps) - 1),
		FirstTimestamp: timestamps[0], MaxTimestamp: slices.Max(timestamps),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(timestamps)),
	}
	for i, timestamp := range timestamps {
		text := []byte{byte('0' + i)}
		record := kmsg.Record{TimestampDelta64: timestamp - timestamps[0], OffsetDelta: int32(i), Key: text, Value: text}
		record.Length = int32(len(record.AppendTo(nil)) - 1) // a length of 0 takes one byte
		batch.Records = record.AppendTo(batch.Records)
	}
	encoded := batch.AppendTo(nil)
	const lengthAt, leaderEpochAt, crcAt, attributesAt = 8, 12, 17, 21
	binary.BigEndian.PutUint32(encoded[lengthAt:], uint32(len(encoded)-leaderEpochAt))
	binary.BigEndian.PutUint32(encoded[crcAt:], crc32.Checksum(encoded[attributesAt:], crc32.MakeTable(crc32.Castagnoli)))
	return encoded
}
