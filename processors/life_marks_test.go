package processors_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// A mark that cannot be read was once attributed to the record before it, which was then skipped in its place.
func TestRun_aBrokenMarkIsAttributedToItself(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1})
	top := routed(t, func(s topology.Stream[string, string]) {
		s.Rekey(func(k, _ string) string { return k }).Repartition("again", codecs.String, codecs.String).GroupByKey().Count("counts")
	}, topology.OnUndecodable(topology.Skip()))
	const again = "app-again-repartition"
	skipped := make(chan processors.Skipped, 10)
	cfg := processors.Config{
		Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: 10 * time.Millisecond,
		Hooks: processors.Hooks{Skipped: func(s processors.Skipped) { skipped <- s }},
	}
	start := func() (app *processors.App, stop func()) {
		app, err := processors.New(top, cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		return app, func() {
			cancel()
			require.NoError(t, <-done)
		}
	}
	app, stop := start() // makes the topics
	require.Eventually(t, func() bool { return app.State() == processors.Running }, 20*time.Second, 5*time.Millisecond)
	stop()

	b.produce(t,
		&kgo.Record{Topic: again, Key: []byte("k"), Value: []byte("good")},
		&kgo.Record{Topic: again, Value: []byte("!"), Headers: []kgo.RecordHeader{{Key: "millrace-mark", Value: make([]byte, 4)}}})
	_, stop = start()
	first := <-skipped
	stop()
	require.Equal(t, again, first.Topic)
	require.Equal(t, "!", string(first.Record.Value))
	require.Empty(t, skipped)
}
