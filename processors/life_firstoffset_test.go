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

func TestRun_firstStart(t *testing.T) {
	hour := func(ago int, key string) *kgo.Record {
		return &kgo.Record{Topic: "lines", Key: []byte(key), Timestamp: time.Now().Add(-time.Duration(ago) * time.Hour)}
	}
	for name, c := range map[string]struct {
		start topology.SourceOption
		cfg   processors.Config
		from  int64
		want  []string
	}{
		"latest":       {topology.FromLatest(), processors.Config{}, 3, []string{"0:later="}},
		"last 2 hours": {topology.FromLast(150 * time.Minute), processors.Config{}, 1, []string{"0:b=", "0:c=", "0:later="}},
		"last minute":  {topology.FromLast(time.Minute), processors.Config{Guarantee: processors.AtLeastOnce}, 3, []string{"0:later="}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]int32{"lines": 1, "out": 1})
			b.produce(t, hour(3, "a"), hour(2, "b"), hour(1, "c"))
			builder := topology.NewBuilder("app")
			topology.Source(builder, "lines", codecs.String, codecs.String, c.start).To("out", codecs.String, codecs.String)
			top, err := builder.Build()
			require.NoError(t, err)
			c.cfg.Brokers, c.cfg.Dir = b.brokers, t.TempDir()
			app, err := processors.New(top, c.cfg)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- app.Run(ctx) }()
			if len(c.want) == 1 {
				b.waitForOffset(t, "app-lines", "lines", c.from) // the beginning is committed before there is anything to read
			}
			b.produce(t, hour(0, "later"))
			require.Equal(t, c.want, b.placed(t, "out", len(c.want)))
			cancel()
			require.NoError(t, <-done)
		})
	}
	t.Run("committed", func(t *testing.T) {
		b := newBench(t, map[string]int32{"lines": 1, "out": 1})
		builder := topology.NewBuilder("app")
		topology.Source(builder, "lines", codecs.String, codecs.String, topology.FromCommitted()).To("out", codecs.String, codecs.String)
		top, err := builder.Build()
		require.NoError(t, err)
		err = run(t, top, processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
		require.ErrorContains(t, err, "group app-lines: no committed offset of lines/0, and the source begins at committed offsets only; set the offsets of the group")
	})
}
