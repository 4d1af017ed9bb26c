package broker_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/test/kafka"
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

// setTopic alters a setting of a topic and waits until the broker has it.
func setTopic(t *testing.T, client *broker.Client, topic, name, value string) {
	t.Helper()
	_, err := client.Admin().AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: name, Value: &value}}, topic)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		described, err := client.Admin().DescribeTopicConfigs(t.Context(), topic)
		return err == nil && len(described) == 1 && slices.ContainsFunc(described[0].Configs, func(c kadm.Config) bool {
			return c.Key == name && c.MaybeValue() == value
		})
	}, 30*time.Second, 10*time.Millisecond)
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
		setTopic(t, client, topics[0], "max.message.bytes", "2000")
		limits := client.Limits(t.Context(), topics...)
		require.Equal(t, int32(2000), limits[topics[0]].BatchBytes)
		require.Equal(t, int32(1048588), limits[topics[1]].BatchBytes)

		w, err := broker.TakeOver(t.Context(), client, broker.WriterConfig{TransactionalID: topics[1], Limits: limits})
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

// TestWriter_refusedTimes produces records of which one is two hours ahead, to a topic of the user. Kafka 4 refuses the
// whole batch with INVALID_TIMESTAMP. The error named neither the setting nor the remedy, and all records of the batch
// counted as refused, so that a policy that skips skipped good ones. The embedded broker takes every time.
func TestWriter_refusedTimes(t *testing.T) {
	client := connectTo(t, kafka.Brokers(t))
	topics := topicsOf(t, client, "out", "old")
	setTopic(t, client, topics[1], "message.timestamp.before.max.ms", "86400000")
	now := time.Now()
	for _, c := range []struct {
		topic    string
		wrong    time.Time
		setting  string
		limit    string
		limits   map[string]broker.Limits
		isolated bool
	}{
		{topics[0], now.Add(2 * time.Hour), "message.timestamp.after.max.ms", "up to 1h0m0s ahead of the clock of the broker (%s=3600000)", client.Limits(t.Context(), topics...), true},
		{topics[1], now.Add(-48 * time.Hour), "message.timestamp.before.max.ms", "up to 24h0m0s behind the clock of the broker (%s=86400000)", client.Limits(t.Context(), topics...), true},
		{topics[0], now.Add(2 * time.Hour), "message.timestamp.after.max.ms", "look at %s of the topic", nil, false},
	} {
		w, err := broker.TakeOver(t.Context(), client, broker.WriterConfig{TransactionalID: c.topic, Limits: c.limits})
		require.NoError(t, err)
		defer w.Close()
		require.NoError(t, w.Begin())
		origins := make([]*kgo.Record, 3)
		for i, at := range []time.Time{now, c.wrong, now.Add(time.Minute)} {
			origins[i] = &kgo.Record{Topic: "in", Offset: int64(i)}
			rec := w.Record(origins[i])
			rec.Topic, rec.Key, rec.Timestamp = c.topic, []byte("k"), at
			w.Send(rec, w.Promise(nil))
		}
		require.ErrorIs(t, w.Commit(t.Context(), nil), kerr.InvalidTimestamp)
		var alone []*broker.ProduceError
		for _, refusal := range w.Refused() {
			if refusal.Origin == origins[1] {
				require.ErrorContains(t, refusal, fmt.Sprintf("a record of %s (%d)", c.wrong.UTC().Format(time.RFC3339), c.wrong.UnixMilli()))
				require.ErrorContains(t, refusal, fmt.Sprintf(c.limit, c.setting))
				require.ErrorContains(t, refusal, fmt.Sprintf("correct it with kafka-configs --alter --topic %s --add-config %s=9223372036854775807", c.topic, c.setting))
			}
			if refusal.Alone() {
				alone = append(alone, refusal)
			}
		}
		if !c.isolated {
			require.Empty(t, alone)
			continue
		}
		require.Len(t, alone, 1)
		require.Same(t, origins[1], alone[0].Origin)
	}
}

// A compacted topic refuses a batch in which one record has no key, and the others count as refused, too.
func TestWriter_refusedRecordsWithoutKey(t *testing.T) {
	client := connectTo(t, kafka.Brokers(t))
	topic := fmt.Sprintf("compacted-%d", time.Now().UnixNano())
	require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: topic, Partitions: 1, Kind: broker.Changelog}))
	w, err := broker.TakeOver(t.Context(), client, broker.WriterConfig{TransactionalID: topic})
	require.NoError(t, err)
	defer w.Close()
	require.NoError(t, w.Begin())
	for _, key := range [][]byte{[]byte("a"), nil, []byte("b")} {
		rec := w.Record(&kgo.Record{Topic: "in"})
		rec.Topic, rec.Key, rec.Value = topic, key, []byte("v")
		w.Send(rec, w.Promise(nil))
	}
	require.ErrorIs(t, w.Commit(t.Context(), nil), kerr.InvalidRecord)
	var alone int
	for _, refusal := range w.Refused() {
		if refusal.Alone() {
			alone++
			require.Nil(t, refusal.Record.Key)
		}
	}
	require.Equal(t, 1, alone)
	require.Greater(t, len(w.Refused()), 1, "the batch has more")
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
	now := time.Now()
	bytes2000 := broker.Limits{BatchBytes: 2000}
	day := broker.Limits{Before: 24 * time.Hour.Milliseconds(), After: time.Hour.Milliseconds()}
	at := func(ago time.Duration) kgo.Record { return kgo.Record{Key: []byte("k"), Timestamp: now.Add(-ago)} }
	small, large := kgo.Record{Key: []byte("k"), Value: make([]byte, 10)}, kgo.Record{Value: make([]byte, 2000), Headers: []kgo.RecordHeader{{Key: "k"}}}
	for _, c := range []struct {
		err                     broker.ProduceError
		lasting, ofTopic, alone bool
	}{
		{broker.ProduceError{Record: large, Limits: bytes2000, Err: kerr.MessageTooLarge}, true, false, true},
		{broker.ProduceError{Record: small, Limits: bytes2000, Err: kerr.MessageTooLarge}, true, false, false},
		{broker.ProduceError{Record: small, Limits: bytes2000, Err: kerr.TopicAuthorizationFailed}, true, true, true},
		{broker.ProduceError{Record: small, Limits: bytes2000, Err: kerr.UnknownTopicOrPartition}, true, true, true},
		{broker.ProduceError{Record: small, Limits: bytes2000, Err: kerr.InvalidRecord}, true, false, false},
		{broker.ProduceError{Record: large, Limits: bytes2000, Err: kerr.InvalidRecord}, true, false, true}, // without a key
		{broker.ProduceError{Record: at(0), Limits: day, At: now, Err: kerr.InvalidTimestamp}, true, false, false},
		{broker.ProduceError{Record: at(-2 * time.Hour), Limits: day, At: now, Err: kerr.InvalidTimestamp}, true, false, true},
		{broker.ProduceError{Record: at(-61 * time.Minute), Limits: day, At: now, Err: kerr.InvalidTimestamp}, true, false, false}, // whose clock?
		{broker.ProduceError{Record: at(25 * time.Hour), Limits: day, At: now, Err: kerr.InvalidTimestamp}, true, false, true},
		{broker.ProduceError{Record: at(25 * time.Hour), At: now, Err: kerr.InvalidTimestamp}, true, false, false}, // not known
		{broker.ProduceError{Record: small, Limits: bytes2000, Err: broker.ErrFenced}, false, false, true},
	} {
		require.Equal(t, c.lasting, c.err.Lasting(), c.err.Err)
		require.Equal(t, c.ofTopic, c.err.OfTopic(), c.err.Err)
		require.Equal(t, c.alone, c.err.Alone(), c.err.Err)
	}
}
