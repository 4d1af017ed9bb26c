package processors_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// An instance stands still in a takeover, after it has read the offsets. Another one takes over, commits and is gone.
// The first then restores a state that is ahead of the offsets it knows. That is no contradiction but shows that it was
// overtaken, and it takes over again.
func TestRun_overtakenDuringATakeoverIsNotAnInconsistency(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	value, err := codecs.Int64.Append(nil, 1)
	require.NoError(t, err)
	line := func() *kgo.Record { return &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value} }
	dir := t.TempDir()
	start := func() (stop func()) {
		app, err := processors.New(countLines(t), processors.Config{Brokers: b.brokers, Dir: dir})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- app.Run(ctx) }()
		return func() {
			cancel()
			require.NoError(t, <-done)
		}
	}
	b.produce(t, line())
	stop := start()
	b.waitForOffset(t, "app-counts", "lines", 1)
	stop()

	var once sync.Once
	standing, goOn := make(chan struct{}), make(chan struct{})
	fault.Install(&fault.Faults{Point: func(name string) {
		if name == "takeover.offsets" {
			once.Do(func() { close(standing); <-goOn })
		}
	}})
	defer fault.Install(nil)
	b.produce(t, line())
	stop = start()
	<-standing
	b.commitAsAnotherOwner(t, 2)
	close(goOn)

	b.produce(t, line())
	b.waitForOffset(t, "app-counts", "lines", 3)
	stop()
}

// commitAsAnotherOwner takes the only task over and commits a position, as an instance of countLines would.
func (b *bench) commitAsAnotherOwner(t *testing.T, position int64) {
	t.Helper()
	client, err := broker.Connect(t.Context(), broker.Config{Brokers: b.brokers})
	require.NoError(t, err)
	defer client.Close()
	writer, err := broker.TakeOver(t.Context(), client, broker.WriterConfig{
		TransactionalID: client.ClusterID() + ".app-counts.0", Group: "app-counts",
	})
	require.NoError(t, err)
	defer writer.Close()
	lines := state.TopicPartition{Topic: "lines", Partition: 0}
	p := state.NewPosition()
	p.Direct[lines] = position
	require.NoError(t, writer.Begin())
	writer.Produce(&kgo.Record{Topic: "app-counts-table", Key: []byte(state.PositionKey), Value: p.Append(nil)}, nil)
	require.NoError(t, writer.Commit(t.Context(), state.Offsets{lines: position}))
}

// A task that is overtaken while it handles a failed record must not go on from its last commit: the other owner has
// committed since.
func TestRun_overtakenWhileARecordFailsIsNoticed(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	builder := topology.NewBuilder("app")
	failing, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	lines := topology.Source(builder, "lines", codecs.String, codecs.Int64)
	lines.To("out", codecs.String, codecs.Int64)
	lines.MapValues(func(v int64) int64 {
		if v == 1 {
			once.Do(func() {
				close(failing)
				<-goOn
				panic("not now")
			})
		}
		return v
	}).GroupByKey().Count("counts")
	top, err := builder.Build()
	require.NoError(t, err)
	send := func(v int64) {
		value, err := codecs.Int64.Append(nil, v)
		require.NoError(t, err)
		b.produce(t, &kgo.Record{Topic: "lines", Key: []byte("k"), Value: value})
	}
	app, err := processors.New(top, processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	send(0)
	b.waitForOffset(t, "app-counts", "lines", 1)
	send(1)
	<-failing
	b.commitAsAnotherOwner(t, 2)
	close(goOn)
	send(2)
	b.waitForOffset(t, "app-counts", "lines", 3)
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, []string{"k=0", "k=2"}, b.read(t, "out", 2), "the record in between belongs to the other owner")
}
