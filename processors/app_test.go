package processors_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// bench is an embedded broker with a client.
type bench struct {
	brokers []string
	kafka   *kgo.Client
	admin   *kadm.Client
}

func newBench(t *testing.T, topics map[string]int32) *bench {
	t.Helper()
	broker := brokertest.Start(t, embedded.Config{Dir: t.TempDir(), NoSync: true})
	kafka, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	require.NoError(t, err)
	t.Cleanup(kafka.Close)
	b := &bench{brokers: broker.Addrs(), kafka: kafka, admin: kadm.NewClient(kafka)}
	for topic, n := range topics {
		_, err := b.admin.CreateTopic(t.Context(), n, 1, nil, topic)
		require.NoError(t, err)
	}
	return b
}

func (b *bench) produce(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	require.NoError(t, b.kafka.ProduceSync(t.Context(), records...).FirstErr())
}

// run runs an App until it returns and fails the test if that takes too long.
func run(t *testing.T, top *topology.Topology, cfg processors.Config) error {
	t.Helper()
	app, err := processors.New(top, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err = app.Run(ctx)
	require.NoError(t, ctx.Err(), "Run did not return by itself")
	return err
}

func countLines(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("app")
	topology.Source(b, "lines", codecs.String, codecs.Int64).GroupByKey().Count("counts")
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

func TestNew_rejectsABadConfiguration(t *testing.T) {
	top := countLines(t)
	_, err := processors.New(nil, processors.Config{})
	require.ErrorContains(t, err, "no topology")
	_, err = processors.New(top, processors.Config{CommitInterval: -1})
	require.ErrorContains(t, err, "Brokers is empty")
	require.ErrorContains(t, err, "Dir is empty")
	require.ErrorContains(t, err, "CommitInterval is negative")
}

func TestRun_missingTopicsAreNamedBeforeAnythingRuns(t *testing.T) {
	b := newBench(t, nil)
	err := run(t, countLines(t), processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.ErrorContains(t, err, `"lines"`)
	require.ErrorContains(t, err, "create it")
	topics, listErr := b.admin.ListTopics(t.Context())
	require.NoError(t, listErr)
	require.Empty(t, topics, "nothing was created")
}

func TestRun_inputsMustBeCoPartitioned(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 4, "names": 3})
	builder := topology.NewBuilder("app")
	names := topology.TableOf(builder, "names", codecs.String, codecs.String)
	topology.Source(builder, "lines", codecs.String, codecs.String).
		JoinTable(names, func(v, name string) string { return v + name }).
		GroupByKey().Count("counts")
	top, err := builder.Build()
	require.NoError(t, err)
	err = run(t, top, processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.ErrorContains(t, err, "the inputs of the join-table at processors/app_test.go:")
	require.ErrorContains(t, err, "are not co-partitioned: lines has 4 partitions, names has 3 partitions; recreate one of them")
}

func TestRun_existingTableWithOtherPartitionsIsRefused(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 4, "app-counts-table": 3})
	err := run(t, countLines(t), processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.ErrorContains(t, err, "app-counts-table")
	require.ErrorContains(t, err, "3")
}

func TestRun_unusableDirectory(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	err := run(t, countLines(t), processors.Config{Brokers: b.brokers, Dir: file})
	require.ErrorContains(t, err, file)
}

func TestRun_unreachableBroker(t *testing.T) {
	err := run(t, countLines(t), processors.Config{Brokers: []string{"127.0.0.1:1"}, Dir: t.TempDir()})
	require.ErrorContains(t, err, "127.0.0.1:1")
}

func TestRun_endedBeforeItBegan(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	app, err := processors.New(countLines(t), processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, app.Run(ctx), "it was told to end and did")
	require.Equal(t, processors.Closed, app.State())
}

// A record that fails on every retry ends the application with an error that names it, and is not skipped: after a
// restart it is the first again.
func TestRun_undecodableRecordStopsTheApplicationAfterRetries(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	b.produce(t, &kgo.Record{Topic: "lines", Key: []byte("k"), Value: []byte("not eight bytes")})
	for range 2 {
		var mu sync.Mutex
		var failures int
		err := run(t, countLines(t), processors.Config{
			Brokers: b.brokers, Dir: t.TempDir(), ProcessingRetries: 2,
			Hooks: processors.Hooks{TaskFailed: func(string, int32, error, bool) { mu.Lock(); failures++; mu.Unlock() }},
		})
		require.ErrorContains(t, err, "lines/0 offset 0")
		require.ErrorContains(t, err, "decode int64")
		require.Equal(t, 3, failures, "the first try and two retries")
		var decode *engine.DecodeError
		require.ErrorAs(t, err, &decode)
	}
}

// An operator that fails for a while is retried from the last commit; nothing counts twice.
func TestRun_failingOperatorIsRetriedAndNothingCountsTwice(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	builder := topology.NewBuilder("app")
	var mu sync.Mutex
	tries := 0
	topology.Source(builder, "lines", codecs.String, codecs.Int64).
		MapValues(func(v int64) int64 {
			mu.Lock()
			defer mu.Unlock()
			if v == 2 && tries < 3 {
				tries++
				panic("not yet")
			}
			return v
		}).
		GroupByKey().Count("counts").ToStream().To("out", codecs.String, codecs.Int64)
	top, err := builder.Build()
	require.NoError(t, err)
	for i := range 4 {
		value, err := codecs.Int64.Append(nil, int64(i))
		require.NoError(t, err)
		b.produce(t, &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value})
	}
	app, err := processors.New(top, processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	require.Equal(t, []string{"k=1", "k=2", "k=3", "k=4"}, b.read(t, "out", 4))
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, 3, tries)
	require.Error(t, app.Run(t.Context()), "an App runs once")
}

// read returns the first n committed records of a topic with integer values.
func (b *bench) read(t *testing.T, topic string, n int) (got []string) {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	require.NoError(t, err)
	defer consumer.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(got) < n {
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, ctx.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			v, err := codecs.Int64.Decode(r.Value)
			require.NoError(t, err)
			got = append(got, fmt.Sprintf("%s=%d", r.Key, v))
		})
	}
	return got
}

func TestRun_statesAreToldInOrderAndRestoreShowsProgress(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	value, err := codecs.Int64.Append(nil, 1)
	require.NoError(t, err)
	b.produce(t, &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value})

	var mu sync.Mutex
	var states []processors.State
	var restored []processors.RestoreProgress
	running := make(chan struct{}, 8)
	start := func() {
		app, err := processors.New(countLines(t), processors.Config{
			Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Millisecond,
			Hooks: processors.Hooks{
				StateChanged: func(_, to processors.State) {
					mu.Lock()
					defer mu.Unlock()
					states = append(states, to)
					if to == processors.Running {
						running <- struct{}{}
					}
				},
				RestoreProgress: func(p processors.RestoreProgress) { mu.Lock(); defer mu.Unlock(); restored = append(restored, p) },
			},
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- app.Run(ctx) }()
		<-running
		require.Eventually(t, func() bool {
			info := app.Info(t.Context())
			return len(info.Groups) == 1 && len(info.Groups[0].Tasks) == 1 && info.Groups[0].Tasks[0].Goka != nil
		}, 10*time.Second, time.Millisecond)
		b.waitForOffset(t, "app-counts", "lines", 1)
		cancel()
		require.NoError(t, <-done)
	}
	start()
	require.Equal(t, []processors.State{
		processors.Starting, processors.Rebalancing, processors.Restoring, processors.Running, processors.Draining, processors.Closed,
	}, states)
	restored = nil
	start() // on another directory: everything comes from the changelog
	last := restored[len(restored)-1]
	require.True(t, last.Done)
	require.Equal(t, "app-counts", last.Group)
	require.Equal(t, int64(3), last.Records, "the count, the identity and the position record")
	require.Equal(t, last.End, last.Next)
}

func TestRun_deletedTableIsAnErrorNotAFreshStart(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	var offsets kadm.Offsets
	offsets.AddOffset("lines", 0, 5, -1)
	require.NoError(t, b.admin.CommitAllOffsets(t.Context(), "app-counts", offsets))

	err := run(t, countLines(t), processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.ErrorContains(t, err, "the table was deleted or recreated; reset the group's offsets")
}

func TestRun_offsetsChangedByHandAreAnError(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	value, err := codecs.Int64.Append(nil, 1)
	require.NoError(t, err)
	b.produce(t, &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value})
	top, dir := countLines(t), t.TempDir()
	app, err := processors.New(top, processors.Config{Brokers: b.brokers, Dir: dir})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	b.waitForOffset(t, "app-counts", "lines", 1)
	cancel()
	require.NoError(t, <-done)

	var offsets kadm.Offsets
	offsets.AddOffset("lines", 0, 0, -1)
	require.NoError(t, b.admin.CommitAllOffsets(t.Context(), "app-counts", offsets))
	err = run(t, top, processors.Config{Brokers: b.brokers, Dir: dir})
	require.ErrorContains(t, err, "its state reflects 1: the offsets were changed by hand; set them back")
}

// waitForOffset waits until the group has committed the offset.
func (b *bench) waitForOffset(t *testing.T, group, topic string, offset int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		offsets, err := b.admin.FetchOffsets(t.Context(), group)
		at, ok := offsets.Lookup(topic, 0)
		return err == nil && ok && at.At == offset
	}, 20*time.Second, time.Millisecond)
}

// Records that retention deleted before they were processed are lost: the application must say so, and not just count
// less.
func TestRun_inputDeletedBeforeItWasProcessedIsAnError(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	value, err := codecs.Int64.Append(nil, 1)
	require.NoError(t, err)
	line := &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value}
	b.produce(t, line, &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value})
	top, dir := countLines(t), t.TempDir()
	app, err := processors.New(top, processors.Config{Brokers: b.brokers, Dir: dir})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	b.waitForOffset(t, "app-counts", "lines", 2)
	cancel()
	require.NoError(t, <-done)

	for range 3 {
		b.produce(t, &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value})
	}
	var upTo kadm.Offsets
	upTo.AddOffset("lines", 0, 4, -1)
	_, err = b.admin.DeleteRecords(t.Context(), upTo)
	require.NoError(t, err)
	err = run(t, top, processors.Config{Brokers: b.brokers, Dir: dir})
	require.ErrorContains(t, err, "read lines/0 from offset 2, in a log from 4 to 5")
	require.ErrorContains(t, err, "retention deleted records that were not processed yet")
}

// A topic whose oldest records are gone before the application first reads it is read from its first record.
func TestRun_firstStartBeginsAtTheFirstRecordThereIs(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	value, err := codecs.Int64.Append(nil, 1)
	require.NoError(t, err)
	for range 3 {
		b.produce(t, &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value})
	}
	var upTo kadm.Offsets
	upTo.AddOffset("lines", 0, 2, -1)
	_, err = b.admin.DeleteRecords(t.Context(), upTo)
	require.NoError(t, err)

	app, err := processors.New(countLines(t), processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	b.waitForOffset(t, "app-counts", "lines", 3)
	require.Equal(t, int64(1), app.Processed())
	cancel()
	require.NoError(t, <-done)
}
