package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
)

func TestEnsureTopics_createsWhatIsMissing(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		client := connect(t, addrs)
		specs := []TopicSpec{
			{Name: unique("events"), Partitions: 3, Kind: EventLog},
			{Name: unique("changes"), Partitions: 2, Kind: Changelog},
			{Name: unique("between"), Partitions: 1, Kind: Repartition},
			{Name: unique("rows"), Partitions: 5, Kind: Table},
			{Name: unique("other"), Kind: Stream, Replication: 1},
		}
		require.NoError(t, client.EnsureTopics(t.Context(), specs...))
		for _, spec := range specs {
			count, err := client.Partitions(t.Context(), spec.Name)
			require.NoError(t, err)
			if spec.Partitions != 0 {
				require.Equal(t, spec.Partitions, count)
			}
		}
		for i, want := range []string{"delete -1 -1", "compact", "delete -1 -1", "compact"} {
			got := configs(t, client, specs[i].Name)
			require.True(t, strings.HasPrefix(got, want), "%s: %s", specs[i].Name, got)
		}
		require.NoError(t, client.EnsureTopics(t.Context(), specs...), "a second time")
		for i := range specs {
			specs[i].MustExist = true
		}
		require.NoError(t, client.EnsureTopics(t.Context(), specs...))
		require.NoError(t, client.EnsureTopics(t.Context()), "nothing at all")
	})
}

func configs(t *testing.T, client *Client, topic string) string {
	t.Helper()
	topics := map[string]existingTopic{topic: {}}
	require.NoError(t, client.describe(t.Context(), topics))
	c := topics[topic].configs
	return fmt.Sprint(c["cleanup.policy"], " ", c["retention.ms"], " ", c["retention.bytes"])
}

// TestEnsureTopics_reportsEverything asks for topics each of which is wrong in another way.
func TestEnsureTopics_reportsEverything(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		client := connect(t, addrs)
		ctx := t.Context()
		create := func(name string, partitions int32, settings ...string) string {
			name = unique(name)
			configs := make(map[string]*string)
			for i := 0; i < len(settings); i += 2 {
				configs[settings[i]] = &settings[i+1]
			}
			_, err := client.Admin().CreateTopic(ctx, partitions, 1, configs, name)
			require.NoError(t, err)
			return name
		}
		count := create("count", 3)
		expiring := create("expiring", 1, "retention.ms", "86400000")
		limited := create("limited", 1, "retention.ms", "-1", "retention.bytes", "1000000")
		compacted := create("compacted", 1, "cleanup.policy", "compact")
		uncompacted := create("uncompacted", 1, "retention.ms", "-1")
		lossy := create("lossy", 1, "cleanup.policy", "compact,delete", "retention.ms", "1000")
		rows := create("rows", 1, "retention.ms", "1000")
		absent, bystander := unique("absent"), unique("bystander")

		err := client.EnsureTopics(ctx,
			TopicSpec{Name: count, Partitions: 4, Kind: Stream, Replication: 2},
			TopicSpec{Name: expiring, Kind: EventLog},
			TopicSpec{Name: limited, Kind: Repartition},
			TopicSpec{Name: compacted, Kind: EventLog},
			TopicSpec{Name: uncompacted, Kind: Changelog},
			TopicSpec{Name: lossy, Kind: Changelog},
			TopicSpec{Name: rows, Kind: Table},
			TopicSpec{Name: absent, Partitions: 2, Kind: Table, MustExist: true},
			TopicSpec{Name: unique("replicated"), Partitions: 1, Kind: EventLog, Replication: 3},
			TopicSpec{Name: "no/slashes", Kind: Stream},
			TopicSpec{Name: bystander, Partitions: 1, Kind: EventLog},
		)
		require.ErrorIs(t, err, ErrTopicMissing)
		for _, want := range []string{
			fmt.Sprintf("topic %q has 3 partitions, but 4 are wanted; ask for 3, or use a new topic", count),
			fmt.Sprintf("topic %q has replication factor 1, but at least 2 is wanted; raise it with kafka-reassign-partitions", count),
			fmt.Sprintf("event log %q has a finite retention (retention.ms=86400000), which deletes records that are still needed;"+
				" correct it with kafka-configs --alter --topic %s --add-config retention.ms=-1,retention.bytes=-1", expiring, expiring),
			fmt.Sprintf("repartition topic %q has a finite retention (retention.bytes=1000000)", limited),
			fmt.Sprintf("event log %q is compacted (cleanup.policy=compact)", compacted),
			fmt.Sprintf("changelog %q has cleanup.policy=delete, which would delete rows", uncompacted),
			fmt.Sprintf("kafka-configs --alter --topic %s --add-config cleanup.policy=compact", uncompacted),
			fmt.Sprintf("changelog %q has cleanup.policy=compact,delete", lossy),
			fmt.Sprintf("table %q has cleanup.policy=delete and a finite retention (retention.ms=1000)", rows),
			fmt.Sprintf("table %q, which is not ours to create; create it with 2 partitions", absent),
			fmt.Sprintf("event log %q cannot be created: INVALID_REPLICATION_FACTOR", unique("replicated")),
			"ask for no more replicas than there are brokers",
			`topic name "no/slashes" is illegal`,
		} {
			require.ErrorContains(t, err, want)
		}
		require.NotContains(t, err.Error(), bystander)
		_, err = client.Partitions(ctx, bystander)
		require.ErrorIs(t, err, ErrTopicMissing, "with problems nothing is created")
	})
}

func TestEnsureTopics_specsOfOneTopicMustAgree(t *testing.T) {
	client := connect(t, brokertest.Start(t, embedded.Config{}).Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(),
		TopicSpec{Name: "events", Kind: Stream},
		TopicSpec{Name: "events", Kind: EventLog, Partitions: 3},
		TopicSpec{Name: "events", Kind: EventLog}))
	require.Equal(t, "delete -1 -1", configs(t, client, "events"))
	count, err := client.Partitions(t.Context(), "events")
	require.NoError(t, err)
	require.EqualValues(t, 3, count)

	err = client.EnsureTopics(t.Context(),
		TopicSpec{Name: "a", Kind: EventLog, Partitions: 1},
		TopicSpec{Name: "a", Kind: EventLog, Partitions: 2},
		TopicSpec{Name: "b", Kind: EventLog},
		TopicSpec{Name: "b", Kind: Table},
		TopicSpec{Name: "c"},
		TopicSpec{Name: "d", Kind: Stream, Partitions: -1},
		TopicSpec{Name: "e", Kind: Stream, Replication: -1})
	require.ErrorContains(t, err, `topic "a" is asked for with 1 and with 2 partitions`)
	require.ErrorContains(t, err, `topic "b" is asked for as event log and as table`)
	require.ErrorContains(t, err, `topic "c": unknown kind 0`)
	require.ErrorContains(t, err, `topic "d": -1 partitions`)
	require.ErrorContains(t, err, `topic "e": replication factor -1`)
}

func TestEnsureTopics_severalAtTheSameTime(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, addrs []string, unique func(string) string) {
		specs := make([]TopicSpec, 6)
		for i := range specs {
			specs[i] = TopicSpec{Name: unique(fmt.Sprint("shared-", i)), Partitions: 2, Kind: Changelog}
		}
		var creators sync.WaitGroup
		failures := make([]error, 5)
		for i := range failures {
			client := connect(t, addrs)
			creators.Go(func() {
				failures[i] = client.EnsureTopics(t.Context(), specs...)
				for _, spec := range specs {
					count, err := client.Partitions(t.Context(), spec.Name)
					if err != nil || count != 2 {
						failures[i] = errors.Join(failures[i], fmt.Errorf("%s: %d partitions: %w", spec.Name, count, err))
					}
				}
			})
		}
		creators.Wait()
		require.NoError(t, errors.Join(failures...))
	})
}

// TestEnsureTopics_verifiesWhatOthersCreate lets somebody else create the topic, otherwise than wanted, between the
// look and the creation.
func TestEnsureTopics_verifiesWhatOthersCreate(t *testing.T) {
	client := connect(t, brokertest.Start(t, embedded.Config{}).Addrs())
	spec := TopicSpec{Name: "raced", Partitions: 2, Kind: EventLog}
	_, err := client.Admin().CreateTopic(t.Context(), 1, 1, nil, "raced")
	require.NoError(t, err)
	for _, dry := range []bool{true, false} {
		var problems []error
		created, err := client.create(t.Context(), []TopicSpec{spec}, dry, &problems)
		require.NoError(t, err)
		require.Empty(t, created)
		require.ErrorContains(t, errors.Join(problems...), `topic "raced" has 1 partitions, but 2 are wanted`)
	}
}

func TestEnsureTopics_warnsOfSingleReplicas(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	require.NoError(t, err)
	defer cluster.Close()
	var log brokertest.Log
	client, err := Connect(t.Context(), Config{Brokers: cluster.ListenAddrs(), Logger: log.Logger()})
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "safe", Partitions: 3, Kind: EventLog, Replication: 3}))
	require.NotContains(t, log.String(), "replica")
	require.NoError(t, client.EnsureTopics(t.Context(),
		TopicSpec{Name: "safe", Kind: EventLog},
		TopicSpec{Name: "risky", Partitions: 3, Kind: EventLog, Replication: 1}))
	require.Contains(t, log.String(), "level=WARN")
	require.Contains(t, log.String(), "use replication factor 3 in production")
	require.Contains(t, log.String(), "topics=risky")
}

func TestEnsureTopics_unreachable(t *testing.T) {
	b, err := embedded.Start(t.Context(), embedded.Config{})
	require.NoError(t, err)
	client := connect(t, b.Addrs())
	require.NoError(t, b.Close())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = client.EnsureTopics(ctx, TopicSpec{Name: "events", Kind: EventLog})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "asking for topics events")
}

// TestEnsureTopics_awaitsLeaders covers a topic that has no leader.
func TestEnsureTopics_awaitsLeaders(t *testing.T) {
	client := connect(t, brokertest.Start(t, embedded.Config{}).Addrs())
	absent := []TopicSpec{{Name: "absent", Kind: EventLog}}
	waiting, err := client.unknown(t.Context(), absent)
	require.NoError(t, err)
	require.Equal(t, `broker 0 has no leader for all partitions of "absent"`, waiting)
	ctx, cancel := context.WithTimeout(t.Context(), 2*topicsPoll)
	defer cancel()
	err = client.awaitTopics(ctx, absent)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestTopicKind_String(t *testing.T) {
	for kind, want := range map[TopicKind]string{
		EventLog: "event log", Changelog: "changelog", Repartition: "repartition topic", Table: "table", Stream: "stream", 9: "topic kind 9",
	} {
		require.Equal(t, want, kind.String())
	}
}
