package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func TestAdvanceWhenIdle_refuses(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Second, time.Microsecond} {
		b := topology.NewBuilder("app", topology.AdvanceWhenIdle(d))
		out(flights(b))
		_, err := b.Build()
		require.ErrorContains(t, err, "AdvanceWhenIdle: "+d.String()+"; want a positive number of whole milliseconds")
	}
}

// A task that has forwarded everything it held waits for nothing any more. A task without the option never waits.
func TestAdvanceWhenIdle_ends(t *testing.T) {
	for _, on := range []bool{true, false} {
		var opts []topology.BuilderOption
		if on {
			opts = append(opts, topology.AdvanceWhenIdle(time.Second))
		}
		b := topology.NewBuilder("app", opts...)
		windows := topology.Tumbling(10 * time.Second).Grace(5 * time.Second)
		out(flights(b).GroupByKey().WindowedBy(windows).EmitOnClose().Aggregate("gates", none, join, codecs.String).ToStream(inWindow))
		top, err := b.Build()
		require.NoError(t, err)
		d := topologytest.NewDriver(t, top)
		topologytest.Input(d, "flights", codecs.String, codecs.String).Pipe("KL", "D1", 1000)
		results := 0
		for range 40 {
			d.AdvanceWallClock(time.Second)
			results += len(topologytest.Output(d, "out", codecs.String, codecs.String).Drain())
			d.Restart()
		}
		if on {
			require.Equal(t, 1, results)
		} else {
			require.Zero(t, results)
		}
	}
}
