package broker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/internal/brokertest"
)

// TestEnsureTopics_internalTopicsKeepEveryTime writes records of all times to internal topics. They inherited the
// defaults of the cluster. With LogAppendTime all records were in the window of their arrival, and Kafka 4 refuses
// times that are more than an hour ahead, which stopped the application. So the topics state the settings themselves.
func TestEnsureTopics_internalTopicsKeepEveryTime(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		client := connect(t, addrs)
		topics := []TopicSpec{
			{Name: unique("repartition"), Partitions: 1, Kind: Repartition},
			{Name: unique("table"), Partitions: 1, Kind: Changelog},
			{Name: unique("facts"), Partitions: 1, Kind: EventLog, OwnTimes: true},
		}
		require.NoError(t, client.EnsureTopics(t.Context(), topics...))
		for _, topic := range topics {
			stated := settingsOf(t, client, topic.Name, kmsg.ConfigSourceDynamicTopicConfig)
			require.Equal(t, "CreateTime", stated["message.timestamp.type"])
			require.Equal(t, "producer", stated["compression.type"])
			require.Equal(t, anyTime, stated["message.timestamp.before.max.ms"])
			require.Equal(t, anyTime, stated["message.timestamp.after.max.ms"])
		}
		now := time.Now().Truncate(time.Millisecond)
		times := []time.Time{
			time.UnixMilli(0), now.Add(-48 * time.Hour), now, now.Add(2 * time.Hour), now.AddDate(200, 0, 0),
		}
		kafka := brokertest.NewKafka(t, addrs)
		for _, topic := range topics {
			for _, at := range times {
				record := &kgo.Record{Topic: topic.Name, Key: []byte("k"), Timestamp: at}
				require.NoError(t, kafka.ProduceSync(t.Context(), record).FirstErr(), "%s in %s", at, topic.Name)
			}
			var kept []int64
			for _, record := range brokertest.Records(t, addrs, topic.Name)[0] {
				kept = append(kept, record.Timestamp.UnixMilli())
			}
			for i, at := range times {
				require.Equal(t, at.UnixMilli(), kept[i])
			}
		}
		require.NoError(t, client.EnsureTopics(t.Context(), topics...), "a second time")
	})
}

// settingsOf returns the settings of a topic that come from source.
func settingsOf(t *testing.T, client *Client, topic string, source kmsg.ConfigSource) map[string]string {
	t.Helper()
	described, err := client.Admin().DescribeTopicConfigs(t.Context(), topic)
	require.NoError(t, err)
	settings := make(map[string]string)
	for _, config := range described[0].Configs {
		if config.Source == source {
			settings[config.Key] = config.MaybeValue()
		}
	}
	return settings
}

// Topics that an older version created have the defaults of the cluster. A repartition topic that replaces times makes
// results wrong, which nothing else would say. A limit is only a warning: the broker says which record it refuses.
func TestEnsureTopics_checksTimesOfInternalTopics(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		var log brokertest.Log
		client, err := Connect(t.Context(), Config{Brokers: addrs, Logger: log.Logger()})
		require.NoError(t, err)
		t.Cleanup(client.Close)
		create := func(name string, settings ...string) string {
			configs := make(map[string]*string)
			for i := 0; i < len(settings); i += 2 {
				configs[settings[i]] = &settings[i+1]
			}
			name = unique(name)
			_, err := client.Admin().CreateTopic(t.Context(), 1, 1, configs, name)
			require.NoError(t, err)
			return name
		}
		forever := []string{"retention.ms", "-1"}
		replaced := create("replaced", append(forever, timestampType, "LogAppendTime")...)
		limited := create("limited", append(forever, timestampBefore, "86400000", timestampAfter, "3600000")...)
		facts := create("facts", append(forever, timestampType, "LogAppendTime", timestampAfter, "3600000")...)

		err = client.EnsureTopics(t.Context(), TopicSpec{Name: replaced, Kind: Repartition})
		require.ErrorContains(t, err, fmt.Sprintf("repartition topic %q has message.timestamp.type=LogAppendTime: the broker replaces the times of records", replaced))
		require.ErrorContains(t, err, fmt.Sprintf("correct it with kafka-configs --alter --topic %s --add-config message.timestamp.type=CreateTime", replaced))
		require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: replaced, Kind: EventLog}, TopicSpec{Name: replaced, Kind: Stream}),
			"the times of a topic that belongs to others are their business")
		require.NotContains(t, log.String(), "timestamp")

		require.NoError(t, client.EnsureTopics(t.Context(),
			TopicSpec{Name: limited, Kind: Repartition}, TopicSpec{Name: facts, Kind: EventLog, OwnTimes: true}))
		for _, want := range []string{
			fmt.Sprintf("%s\\\" has message.timestamp.before.max.ms=86400000 (24h0m0s): the broker refuses records whose time is further behind its clock, with INVALID_TIMESTAMP", limited),
			fmt.Sprintf("kafka-configs --alter --topic %s --add-config message.timestamp.before.max.ms=9223372036854775807", limited),
			fmt.Sprintf("%s\\\" has message.timestamp.after.max.ms=3600000 (1h0m0s): the broker refuses records whose time is further ahead of its clock", limited),
			fmt.Sprintf("event log \\\"%s\\\" has message.timestamp.type=LogAppendTime", facts),
			fmt.Sprintf("kafka-configs --alter --topic %s --add-config message.timestamp.after.max.ms=9223372036854775807", facts),
		} {
			require.Contains(t, log.String(), want)
		}
	})
}

// Brokers before Kafka 3.6 have one limit instead of two, and others may have none. They refuse a setting that they do
// not know.
func TestEnsureTopics_brokersWithoutTheLimits(t *testing.T) {
	for _, c := range []struct {
		known []string
		want  map[string]string
	}{
		{[]string{timestampDifference}, map[string]string{timestampDifference: anyTime}},
		{nil, map[string]string{}},
	} {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		require.NoError(t, err)
		defer cluster.Close()
		cluster.ControlKey(int16(kmsg.CreateTopics), func(request kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			creation, _ := request.(*kmsg.CreateTopicsRequest)
			response := withoutLimits(creation, c.known)
			return response, nil, response != nil
		})
		client := connect(t, cluster.ListenAddrs())
		require.NoError(t, client.EnsureTopics(t.Context(),
			TopicSpec{Name: "between", Partitions: 2, Kind: Repartition}, TopicSpec{Name: "rows", Partitions: 2, Kind: Changelog}))
		stated := settingsOf(t, client, "between", kmsg.ConfigSourceDynamicTopicConfig)
		require.Equal(t, "CreateTime", stated[timestampType])
		got := make(map[string]string)
		for _, limit := range []string{timestampBefore, timestampAfter, timestampDifference} {
			if value, ok := stated[limit]; ok {
				got[limit] = value
			}
		}
		require.Equal(t, c.want, got)
	}
}

// withoutLimits returns the refusal of a broker that knows only some limits, nil if it creates the topics.
func withoutLimits(request *kmsg.CreateTopicsRequest, known []string) kmsg.Response {
	response, _ := request.ResponseKind().(*kmsg.CreateTopicsResponse)
	for _, topic := range request.Topics {
		for _, config := range topic.Configs {
			limit := slices.Contains([]string{timestampBefore, timestampAfter, timestampDifference}, config.Name)
			if limit && !slices.Contains(known, config.Name) {
				refused := kmsg.NewCreateTopicsResponseTopic()
				refused.Topic, refused.ErrorCode = topic.Topic, kerr.InvalidConfig.Code
				response.Topics = append(response.Topics, refused)
				break
			}
		}
	}
	if len(response.Topics) == 0 {
		return nil
	}
	return response
}
