package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/brokertest"
)

// asRead is a record of the given timestamp as the client returns it.
func asRead(millis int64) *kgo.Record {
	return &kgo.Record{Timestamp: time.Unix(0, millis*1_000_000)}
}

func TestRecordTime(t *testing.T) {
	latest := int64(1<<63-1) / 1_000_000
	now := int64(1_764_514_800_123)
	for _, millis := range []int64{0, 1, -1, now, -now, latest, -latest} {
		require.Equal(t, millis, RecordTime(asRead(millis)))
	}
	for _, millis := range []int64{latest + 1, now * 1000, now*1000 + 1, 1 << 57} {
		require.Equal(t, millis, RecordTime(asRead(millis)), "exact although it overflows")
	}
	for _, millis := range []int64{now * 1_000_000, 1<<60 + 1<<57, -latest - 2, -now * 1000} {
		require.Greater(t, RecordTime(asRead(millis)), latest, "%d", millis)
	}
	// One in 15625 looks like a time that did not overflow. The largest numbers of all are among them: they look
	// negative, and a source drops such a record.
	require.EqualValues(t, -1, RecordTime(asRead(1<<63-1)))
}

// TestRecordTime_ofARealTopic reads records that another client wrote, in milliseconds and in microseconds. franz-go
// returns another time for the latter: here it is in the past.
func TestRecordTime_ofARealTopic(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		client := connect(t, addrs)
		topic := unique("micros")
		require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: topic, Partitions: 1, Kind: Repartition}))
		now := time.Now().UnixMilli()
		times := []int64{now, now * 1000, 1 << 57, now + 1}
		brokertest.ProduceAt(t, addrs, topic, times...)
		end, err := kadm.NewClient(client.kafka).ListMaxTimestampOffsets(t.Context(), topic)
		require.NoError(t, err)
		require.EqualValues(t, 2, end[topic][0].Offset, "the broker has the times")
		var got []int64
		for _, record := range brokertest.Records(t, addrs, topic)[0] {
			got = append(got, RecordTime(record))
		}
		require.Equal(t, times, got)
	})
}
