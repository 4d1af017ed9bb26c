package processors_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// countsOut counts lines and writes every count to the topic out.
func countsOut(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("app")
	topology.Source(b, "lines", codecs.String, codecs.String).GroupByKey().Count("counts").
		ToStream().To("out", codecs.String, codecs.Int64)
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

// runUntil runs an App until the group has committed the offset of lines/0.
func (b *bench) runUntil(t *testing.T, top *topology.Topology, offset int64, cfg processors.Config) {
	t.Helper()
	cfg.Brokers = b.brokers
	app, err := processors.New(top, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	b.waitForOffset(t, "app-counts", "lines", offset)
	cancel()
	require.NoError(t, <-done)
}

func inputLine(key string) *kgo.Record {
	return &kgo.Record{Topic: "lines", Key: []byte(key), Value: []byte("x")}
}

func TestGuarantee_mayBeChangedFromRunToRun(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	want := []string{}
	dir := t.TempDir()
	for i, guarantee := range []processors.Guarantee{
		processors.ExactlyOnce, processors.AtLeastOnce, processors.AtLeastOnce, processors.ExactlyOnce, processors.AtLeastOnce,
	} {
		if i%2 == 0 {
			dir = t.TempDir() // everything comes from the changelog
		}
		b.produce(t, inputLine("k"))
		want = append(want, fmt.Sprintf("k=%d", i+1))
		b.runUntil(t, countsOut(t), int64(i+1), processors.Config{Dir: dir, Guarantee: guarantee})
	}
	require.Equal(t, want, b.read(t, "out", len(want)))
}

// A crash between the position record and the offsets leaves the offsets behind. The next owner, with either guarantee,
// goes on where the state is: the state has the record that the offset points to.
func TestGuarantee_atLeastOnceGoesOnWhereTheStateIs(t *testing.T) {
	for _, next := range []processors.Guarantee{processors.ExactlyOnce, processors.AtLeastOnce} {
		t.Run(next.String(), func(t *testing.T) {
			b := newBench(t, map[string]int32{"lines": 1, "out": 1})
			b.produce(t, inputLine("k"), inputLine("k"))
			dir := t.TempDir()
			b.runUntil(t, countsOut(t), 2, processors.Config{Dir: dir, Guarantee: processors.AtLeastOnce})

			committed, err := b.admin.FetchOffsets(t.Context(), "app-counts")
			require.NoError(t, err)
			at, ok := committed.Lookup("lines", 0)
			require.True(t, ok)
			var crashed kadm.Offsets
			crashed.Add(kadm.Offset{Topic: "lines", Partition: 0, At: 1, LeaderEpoch: -1, Metadata: at.Metadata})
			require.NoError(t, b.admin.CommitAllOffsets(t.Context(), "app-counts", crashed))

			b.produce(t, inputLine("k"))
			b.runUntil(t, countsOut(t), 3, processors.Config{Dir: dir, Guarantee: next})
			require.Equal(t, []string{"k=1", "k=2", "k=3"}, b.read(t, "out", 3))

			// Offsets that were changed by hand have no mark.
			crashed = nil
			crashed.Add(kadm.Offset{Topic: "lines", Partition: 0, At: 1, LeaderEpoch: -1})
			require.NoError(t, b.admin.CommitAllOffsets(t.Context(), "app-counts", crashed))
			err = run(t, countsOut(t), processors.Config{Brokers: b.brokers, Dir: dir, Guarantee: next})
			require.ErrorContains(t, err, "its state reflects 3: the offsets were changed by hand")
		})
	}
}

// Outputs at least once do not wait for the commit.
func TestGuarantee_atLeastOnceShowsOutputsBeforeTheCommit(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	app, err := processors.New(countsOut(t), processors.Config{
		Brokers: b.brokers, Dir: t.TempDir(), Guarantee: processors.AtLeastOnce, CommitInterval: 5 * time.Minute,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	b.produce(t, inputLine("k"))
	require.Equal(t, []string{"k=1"}, b.read(t, "out", 1))
	cancel()
	require.NoError(t, <-done)
	b.waitForOffset(t, "app-counts", "lines", 1) // committed at the end
}

func TestCommit_isEarlyWhenItsLimitsAreReached(t *testing.T) {
	for name, cfg := range map[string]processors.Config{
		"records": {CommitRecords: 10},
		"bytes":   {CommitBytes: 100},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]int32{"lines": 1, "out": 1})
			for i := range 25 {
				b.produce(t, inputLine(fmt.Sprint(i)))
			}
			cfg.Brokers, cfg.Dir, cfg.CommitInterval = b.brokers, t.TempDir(), 5*time.Minute
			app, err := processors.New(countsOut(t), cfg)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- app.Run(ctx) }()
			require.NotEmpty(t, b.read(t, "out", 20), "committed, although the interval is not over")
			cancel()
			require.NoError(t, <-done)
		})
	}
}

func TestRun_aTransactionTimeoutThatTheBrokersDoNotAllowIsAnError(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	err := run(t, countsOut(t), processors.Config{Brokers: b.brokers, Dir: t.TempDir(), TransactionTimeout: time.Hour})
	require.ErrorContains(t, err, "1h0m0s is more than the brokers allow")
}

func TestConfig_aCommitMustFitIntoItsTransaction(t *testing.T) {
	top := countsOut(t)
	cfg := processors.Config{Brokers: []string{"b:1"}, Dir: t.TempDir(), CommitInterval: 6 * time.Second, TransactionTimeout: 10 * time.Second}
	_, err := processors.New(top, cfg)
	require.ErrorContains(t, err, "CommitInterval is 6s and TransactionTimeout 10s, less than twice as much")
	require.ErrorContains(t, err, "raise TransactionTimeout, or commit more often")
	cfg.TransactionTimeout = 12 * time.Second
	_, err = processors.New(top, cfg)
	require.NoError(t, err)
	cfg.TransactionTimeout, cfg.CommitInterval = 0, time.Minute
	_, err = processors.New(top, cfg)
	require.NoError(t, err, "the default follows the interval")
	cfg.CommitInterval = time.Hour
	_, err = processors.New(top, cfg)
	require.ErrorContains(t, err, "TransactionTimeout 15m0s", "up to what brokers allow")
	cfg.Guarantee = processors.AtLeastOnce
	_, err = processors.New(top, cfg)
	require.NoError(t, err, "no transaction, no limit")
	cfg.Guarantee = processors.ExactlyOnce
	cfg.CommitInterval, cfg.TransactionTimeout = 0, 150*time.Millisecond
	_, err = processors.New(top, cfg)
	require.ErrorContains(t, err, "CommitInterval is 100ms", "its default")

	cfg.TransactionTimeout, cfg.CommitRecords, cfg.CommitBytes = 0, -1, -1
	_, err = processors.New(top, cfg)
	require.ErrorContains(t, err, "CommitRecords is negative")
	require.ErrorContains(t, err, "CommitBytes is negative")
	cfg = processors.Config{Brokers: []string{"b:1"}, Dir: t.TempDir(), Guarantee: 7}
	_, err = processors.New(top, cfg)
	require.ErrorContains(t, err, "Guarantee is 7: use ExactlyOnce or AtLeastOnce")
}

// A task that gets no record commits nothing, whether or not it has worked before. Every commit leaves a position
// record and a marker in the changelog, so that the length of the changelog shows it.
func TestCommit_idleTasksCommitNothing(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 2, "out": 2})
	app, err := processors.New(countsOut(t), processors.Config{Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Millisecond})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	// Key "1" is in partition 0. Between two records the interval passes many times.
	const rounds = 10
	partition := int32(-1)
	for i := range rounds {
		rec := inputLine("1")
		b.produce(t, rec)
		partition = rec.Partition
		require.Eventually(t, func() bool {
			offsets, err := b.admin.FetchOffsets(t.Context(), "app-counts")
			at, ok := offsets.Lookup("lines", partition)
			return err == nil && ok && at.At == int64(i+1)
		}, 20*time.Second, time.Millisecond)
	}
	cancel()
	require.NoError(t, <-done)
	ends, err := b.admin.ListEndOffsets(t.Context(), "app-counts-table")
	require.NoError(t, err)
	busy, _ := ends.Lookup("app-counts-table", partition)
	idle, _ := ends.Lookup("app-counts-table", 1-partition)
	require.Equal(t, int64(rounds*3+1), busy.Offset, "a row, a position and a marker for each record, and once who wrote them")
	require.Zero(t, idle.Offset)
}
