package processors_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// A failure takes the task back to the last commit: running calls are cancelled, and have ended before any is made
// again. Results are forwarded even if no record comes.
func TestProcessAsync_aRollbackCancelsTheCallsThatRun(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	var mu sync.Mutex
	running, failed, canceled := make(map[string]int), false, 0
	allRun, release := make(chan struct{}), make(chan struct{})
	call := func(ctx context.Context, r topology.Record[string, int64]) (int64, error) {
		mu.Lock()
		running[r.Key]++
		if running[r.Key] > 1 {
			panic("the call before has not ended")
		}
		again := failed
		if len(running) == 4 && !again {
			failed = true
			close(allRun)
		}
		mu.Unlock()
		defer func() { mu.Lock(); running[r.Key]--; mu.Unlock() }()
		if again {
			<-release
			return r.Value, nil
		}
		<-allRun
		if r.Value == 2 {
			return 0, errors.New("not yet")
		}
		<-ctx.Done()
		mu.Lock()
		canceled++
		mu.Unlock()
		return 0, ctx.Err()
	}
	builder := topology.NewBuilder("app")
	topology.Source(builder, "lines", codecs.String, codecs.Int64).
		ProcessAsync("call", 8, call).GroupByKey().Count("counts").ToStream().To("out", codecs.String, codecs.Int64)
	top, err := builder.Build()
	require.NoError(t, err)
	for i := range 4 {
		value, err := codecs.Int64.Append(nil, int64(i))
		require.NoError(t, err)
		b.produce(t, &kgo.Record{Topic: "lines", Key: fmt.Append(nil, "k", i), Value: value})
	}
	app, err := processors.New(top, processors.Config{Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Second})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()
	<-allRun
	close(release)
	require.ElementsMatch(t, []string{"k0=1", "k1=1", "k2=1", "k3=1"}, b.read(t, "out", 4))
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, 3, canceled)
}
