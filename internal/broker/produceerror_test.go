package broker_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/state"
)

// onBoth runs a test with a client of an embedded broker and, where there is one, of a real Kafka.
func onBoth(t *testing.T, test func(t *testing.T, client *broker.Client)) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, _ func(string) string) { test(t, connectTo(t, addrs)) })
}

func connectTo(t *testing.T, addrs []string) *broker.Client {
	t.Helper()
	client, err := broker.Connect(t.Context(), broker.Config{Brokers: addrs})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// topicsOf makes topics with names of their own.
func topicsOf(t *testing.T, client *broker.Client, names ...string) []string {
	t.Helper()
	topics := make([]string, len(names))
	specs := make([]broker.TopicSpec, len(names))
	for i, name := range names {
		topics[i] = fmt.Sprintf("%s-%d", name, time.Now().UnixNano())
		specs[i] = broker.TopicSpec{Name: topics[i], Partitions: 1, Kind: broker.EventLog}
	}
	require.NoError(t, client.EnsureTopics(t.Context(), specs...))
	return topics
}

// A transaction without records can be given up and the writer goes on; one with records cannot.
func TestWriter_discardIsForTransactionsWithoutRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, client *broker.Client) {
		topics := topicsOf(t, client, "in", "out")
		in := state.TopicPartition{Topic: topics[0], Partition: 0}
		w, err := broker.TakeOver(t.Context(), client, broker.WriterConfig{TransactionalID: topics[1], Group: topics[1]})
		require.NoError(t, err)
		defer w.Close()
		for i := range 5 {
			require.NoError(t, w.Begin())
			done, err := w.Discard(t.Context())
			require.NoError(t, err)
			require.True(t, done)
			require.NoError(t, w.Begin())
			produce(w, topics[1], "kept")
			done, err = w.Discard(t.Context())
			require.NoError(t, err)
			require.False(t, done)
			require.NoError(t, w.Commit(t.Context(), state.Offsets{in: int64(i)}))
		}
		require.Len(t, restored(t, client, topics[1]), 5)
	})
}

func TestWriter_refusedRecordsAreNamed(t *testing.T) {
	onBoth(t, func(t *testing.T, client *broker.Client) {
		topics := topicsOf(t, client, "small", "out")
		limit := "2000"
		_, err := client.Admin().AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, topics[0])
		require.NoError(t, err)
		limits := client.MaxMessageBytes(t.Context(), topics...)
		require.Equal(t, int32(2000), limits[topics[0]])
		require.Equal(t, int32(1048588), limits[topics[1]])

		w, err := broker.TakeOver(t.Context(), client, broker.WriterConfig{TransactionalID: topics[1], MaxBytes: limits})
		require.NoError(t, err)
		defer w.Close()
		require.NoError(t, w.Begin())
		produce(w, topics[1], "a")
		large := &kgo.Record{Topic: topics[0], Value: bytes.Repeat([]byte{1}, 3000)}
		w.Produce(&kgo.Record{Topic: topics[0], Value: bytes.Repeat([]byte{1}, 1900)}, nil)
		origin := &kgo.Record{Topic: "in"}
		pooled := w.Record(origin)
		pooled.Topic, pooled.Value = large.Topic, large.Value
		w.Send(pooled, w.Promise(nil))
		err = w.Commit(t.Context(), nil)
		var refusal *broker.ProduceError
		require.ErrorAs(t, err, &refusal)
		require.ErrorIs(t, err, kerr.MessageTooLarge)
		require.ErrorContains(t, err, "make it smaller or raise max.message.bytes of the topic (2000)")
		require.True(t, refusal.Lasting())
		require.True(t, refusal.Alone())
		refused := w.Refused()
		require.Len(t, refused, 1)
		require.Equal(t, large.Value, refused[0].Record.Value, "a copy outlives the record")
		require.Same(t, origin, refused[0].Origin)
	})
}

func TestClient_TopicIDsAreThoseOfNow(t *testing.T) {
	onBoth(t, func(t *testing.T, client *broker.Client) {
		topics := topicsOf(t, client, "there")
		ids, err := client.TopicIDs(t.Context(), topics[0], "not-there-"+topics[0])
		require.NoError(t, err)
		require.Len(t, ids, 1)
		require.NotZero(t, ids[topics[0]])
	})
}

// A batch that is too large is attributed only to a record that is too large by itself, and a topic that accepts
// nothing to no record.
func TestProduceError_saysWhoIsToBlame(t *testing.T) {
	small, large := kgo.Record{Value: make([]byte, 10)}, kgo.Record{Value: make([]byte, 2000), Headers: []kgo.RecordHeader{{Key: "k"}}}
	for _, c := range []struct {
		err                     broker.ProduceError
		lasting, ofTopic, alone bool
	}{
		{broker.ProduceError{Record: large, Limit: 2000, Err: kerr.MessageTooLarge}, true, false, true},
		{broker.ProduceError{Record: small, Limit: 2000, Err: kerr.MessageTooLarge}, true, false, false},
		{broker.ProduceError{Record: small, Limit: 2000, Err: kerr.TopicAuthorizationFailed}, true, true, true},
		{broker.ProduceError{Record: small, Limit: 2000, Err: kerr.UnknownTopicOrPartition}, true, true, true},
		{broker.ProduceError{Record: small, Limit: 2000, Err: kerr.InvalidRecord}, true, false, true},
		{broker.ProduceError{Record: small, Limit: 2000, Err: broker.ErrFenced}, false, false, true},
	} {
		require.Equal(t, c.lasting, c.err.Lasting(), c.err.Err)
		require.Equal(t, c.ofTopic, c.err.OfTopic(), c.err.Err)
		require.Equal(t, c.alone, c.err.Alone(), c.err.Err)
	}
}
