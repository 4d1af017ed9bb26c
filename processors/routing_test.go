package processors_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

type lineRecord = topology.Record[string, string]

// placed reads n records of a topic, as partition:key=value, sorted.
func (b *bench) placed(t *testing.T, topic string, n int) (got []string) {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require.NoError(t, err)
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(got) < n {
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, ctx.Err(), "got %v", got)
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, fmt.Sprintf("%d:%s=%s", r.Partition, r.Key, r.Value)) })
	}
	slices.Sort(got)
	return got
}

func routed(t *testing.T, define func(s topology.Stream[string, string]), opts ...topology.BuilderOption) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("app", opts...)
	define(topology.Source(b, "lines", codecs.String, codecs.String))
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

func textLine(key, value string) *kgo.Record {
	return &kgo.Record{Topic: "lines", Key: []byte(key), Value: []byte(value)}
}

func TestRun_partitioners(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 4, "all": 3})
	last := topology.PartitionBy(func(r lineRecord, n int32) int32 {
		if r.Key == "default" {
			return topology.DefaultPartition
		}
		return n - 1
	})
	everywhere := topology.Multicast(func(r lineRecord, n int32, send func(int32)) {
		for p := range n {
			if r.Key != "nowhere" {
				send(p)
			}
		}
	})
	top := routed(t, func(s topology.Stream[string, string]) {
		s.To("out", codecs.String, codecs.String, last)
		s.GroupBy("again", func(k, _ string) string { return k }, codecs.String, codecs.String, topology.Partitions(2), last).
			Aggregate("lines-by-key", func() string { return "" }, func(_, v, _ string) string { return v }, codecs.String).
			ToStream().To("all", codecs.String, codecs.String, everywhere)
	})
	b.produce(t, textLine("default", "a"), textLine("x", "b"), textLine("nowhere", "c"))
	app, err := processors.New(top, processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	require.Equal(t, []string{
		fmt.Sprintf("%d:default=a", topology.Partition([]byte("default"), 4)), "3:nowhere=c", "3:x=b",
	}, b.placed(t, "out", 3))
	require.Equal(t, []string{"0:default=a", "0:x=b", "1:default=a", "1:x=b", "2:default=a", "2:x=b"}, b.placed(t, "all", 6))
	var again []string
	for _, record := range b.placed(t, "app-again-repartition", 5) {
		if record[2:3] != "=" { // no mark
			again = append(again, record)
		}
	}
	require.Subset(t, again, []string{"1:nowhere=c", "1:x=b"})
	cancel()
	require.NoError(t, <-done)
}

func byKey(r lineRecord) string { return r.Key }

// Topics that records choose are looked up with the first record for them.
func TestRun_dynamicTopics(t *testing.T) {
	for _, guarantee := range []processors.Guarantee{processors.ExactlyOnce, processors.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			b := newBench(t, map[string]int32{"lines": 1, "first": 1, "second": 3})
			top := routed(t, func(s topology.Stream[string, string]) { s.ToDynamic(byKey, codecs.String, codecs.String) })
			b.produce(t, textLine("first", "a"), textLine("second", "b"), textLine("first", "c"))
			app, err := processors.New(top, processors.Config{Brokers: b.brokers, Dir: t.TempDir(), Guarantee: guarantee})
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- app.Run(ctx) }()
			require.Equal(t, []string{"0:first=a", "0:first=c"}, b.placed(t, "first", 2))
			require.Equal(t, []string{fmt.Sprintf("%d:second=b", topology.Partition([]byte("second"), 3))}, b.placed(t, "second", 1))
			cancel()
			require.NoError(t, <-done)
		})
	}
}

// A record for a topic that does not exist is a failure to produce.
func TestRun_missingDynamicTopicFollowsThePolicy(t *testing.T) {
	dynamic := func(s topology.Stream[string, string]) {
		s.ToDynamic(byKey, codecs.String, codecs.String, topology.Named("route"))
	}
	t.Run("stop", func(t *testing.T) {
		b := newBench(t, map[string]int32{"lines": 1, "first": 1})
		b.produce(t, textLine("first", "a"), textLine("lost", "b"))
		err := run(t, routed(t, dynamic, topology.OnProduceFailure(topology.Stop())), processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
		require.ErrorContains(t, err, `outputs of lines/0 offset 1: node "route": topic "lines" partition 0 offset 1: output to topic "lost": `+
			`broker: topic does not exist: "lost"; create it or correct the name; or let the topology pass over such records with topology.OnProduceFailure`)
		var missing *engine.RouteError
		require.ErrorAs(t, err, &missing)
		topics, err := b.admin.ListTopics(t.Context())
		require.NoError(t, err)
		require.False(t, topics.Has("lost"), "it was not created by asking for it")
	})
	t.Run("skip", func(t *testing.T) {
		b := newBench(t, map[string]int32{"lines": 1, "first": 1})
		b.produce(t, textLine("lost", "a"), textLine("first", "b"), textLine("lost", "c"), textLine("first", "d"))
		var mu sync.Mutex
		var skipped []string
		app, err := processors.New(routed(t, dynamic, topology.OnProduceFailure(topology.Skip())), processors.Config{
			Brokers: b.brokers, Dir: t.TempDir(), Hooks: processors.Hooks{Skipped: func(s processors.Skipped) {
				mu.Lock()
				defer mu.Unlock()
				skipped = append(skipped, fmt.Sprintf("%s %s %s", s.Kind, s.Node, s.Record.Value))
			}},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		require.Equal(t, []string{"0:first=b", "0:first=d"}, b.placed(t, "first", 2))
		cancel()
		require.NoError(t, <-done)
		require.Equal(t, []string{"producing lost a", "producing lost c"}, skipped)
	})
	t.Run("created meanwhile", func(t *testing.T) {
		b := newBench(t, map[string]int32{"lines": 1})
		b.produce(t, textLine("late", "a"))
		failed := make(chan error, 100)
		app, err := processors.New(routed(t, dynamic, topology.OnProduceFailure(topology.Retry(50))), processors.Config{
			Brokers: b.brokers, Dir: t.TempDir(), Hooks: processors.Hooks{TaskFailed: func(_ string, _ int32, err error, _ bool) { failed <- err }},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		require.ErrorContains(t, <-failed, `"late"`)
		_, err = b.admin.CreateTopic(t.Context(), 1, 1, nil, "late")
		require.NoError(t, err)
		require.Equal(t, []string{"0:late=a"}, b.placed(t, "late", 1))
		cancel()
		require.NoError(t, <-done)
	})
}
