package topology_test

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// The scenarios of operators that wait for time, in topologies whose time goes on when input does not.
func idleScenarios() map[string]topologytest.Scenario {
	idle := func(define func(b *topology.Builder)) topologytest.Scenario {
		return topologytest.Scenario{
			Options: []topology.BuilderOption{topology.AdvanceWhenIdle(2 * time.Second)}, Define: define,
		}
	}
	windows := topology.Tumbling(10 * time.Second).Grace(5 * time.Second)
	return map[string]topologytest.Scenario{
		"idle-suppress": idle(func(b *topology.Builder) {
			out(flights(b).GroupByKey().WindowedBy(windows).Aggregate("gates", none, join, codecs.String).
				Suppress("final", topology.UntilWindowCloses()).ToStream(inWindow))
		}),
		"idle-emit-on-close": idle(func(b *topology.Builder) {
			out(flights(b).GroupByKey().WindowedBy(windows).EmitOnClose().Aggregate("gates", none, join, codecs.String).
				ToStream(inWindow))
		}),
		"idle-join": idle(func(b *topology.Builder) {
			gates := topology.Source(b, "gates", codecs.String, codecs.String)
			out(flights(b).LeftJoin("joined", gates, topology.Within(5*time.Second).Grace(time.Second), orAlone, codecs.String, codecs.String))
		}),
		"idle-chain": idle(func(b *topology.Builder) {
			windows := topology.Tumbling(10 * time.Second).Grace(0)
			out(flights(b).GroupByKey().WindowedBy(windows).EmitOnClose().Aggregate("gates", none, join, codecs.String).
				Suppress("settled", topology.UntilTimeLimit(3*time.Second)).ToStream(inWindow))
		}),
	}
}

func orAlone(flight string, gate *string) string {
	if gate == nil {
		return flight + " alone"
	}
	return flight + " at " + *gate
}
