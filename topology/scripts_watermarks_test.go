package topology_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// withUpstreamTasks puts several upstream tasks before what follows.
func withUpstreamTasks(b *topology.Builder, topic string) topology.Stream[string, string] {
	return topology.Source(b, topic, codecs.String, codecs.String).Rekey(carrier).
		Repartition(topic+"-by-carrier", codecs.String, codecs.String)
}

func tenSeconds() topology.TimeWindows { return topology.Tumbling(10 * time.Second).Grace(time.Second) }

// watermarkScenarios are run with several partitions.
func watermarkScenarios() map[string]topologytest.Scenario {
	all := map[string]topologytest.Scenario{
		"watermarks-close": {Define: func(b *topology.Builder) {
			out(withUpstreamTasks(b, "flights").GroupByKey().WindowedBy(tenSeconds()).EmitOnClose().
				Aggregate("gates", none, join, codecs.String).ToStream(inWindow))
		}},
		"watermarks-suppress": {Define: func(b *topology.Builder) {
			out(withUpstreamTasks(b, "flights").GroupByKey().WindowedBy(tenSeconds()).Aggregate("gates", none, join, codecs.String).
				Suppress("final", topology.UntilWindowCloses()).ToStream(inWindow))
		}},
		"watermarks-stages": {Define: func(b *topology.Builder) {
			first := withUpstreamTasks(b, "flights").GroupByKey().WindowedBy(tenSeconds()).EmitOnClose().
				Aggregate("gates", none, join, codecs.String).ToStream(func(string, state.Window) string { return "all" })
			out(first.Repartition("together", codecs.String, codecs.String).GroupByKey().WindowedBy(tenSeconds()).
				Aggregate("all", none, join, codecs.String).ToStream(inWindow))
		}},
		"watermarks-sparse": {Define: func(b *topology.Builder) {
			rare := topology.Source(b, "flights", codecs.String, codecs.String).Filter(notCancelled).
				GroupByKey().WindowedBy(tenSeconds()).EmitOnClose().Aggregate("rare", none, join, codecs.String).
				ToStream(func(string, state.Window) string { return "all" })
			out(rare.Repartition("together", codecs.String, codecs.String).GroupByKey().WindowedBy(tenSeconds()).
				Aggregate("all", none, join, codecs.String).ToStream(inWindow))
		}},
		"watermarks-middle": {Define: func(b *topology.Builder) {
			first := withUpstreamTasks(b, "flights")
			second := first.Rekey(func(string, string) string { return "all" }).Repartition("together", codecs.String, codecs.String)
			out(second.GroupByKey().WindowedBy(tenSeconds()).Aggregate("all", none, join, codecs.String).ToStream(inWindow))
		}},
		"watermarks-results": {Define: func(b *topology.Builder) {
			gates := withUpstreamTasks(b, "flights").GroupByKey().Aggregate("gates", none, join, codecs.String).ToStream()
			out(gates.GroupByKey().WindowedBy(tenSeconds()).Aggregate("results", none, func(_, value, _ string) string { return value }, codecs.String).
				ToStream(inWindow))
		}},
		"watermarks-join": {Define: func(b *topology.Builder) {
			out(withUpstreamTasks(b, "flights").LeftJoin("joined", withUpstreamTasks(b, "gates"), topology.Within(2*time.Second),
				func(flight string, gate *string) string {
					if gate == nil {
						return flight + " alone"
					}
					return flight + " at " + *gate
				}, codecs.String, codecs.String))
		}},
	}
	number := topologytest.Format{Value: topologytest.TextOf(codecs.Int64)}
	all["watermarks"] = topologytest.Scenario{
		Formats: map[string]topologytest.Format{"out": number, "counts": number},
		Define: func(b *topology.Builder) {
			outCount(withUpstreamTasks(b, "flights").GroupByKey().WindowedBy(tenSeconds()).Count("counts").ToStream(inWindow))
		},
	}
	return all
}

// TestWatermarks_nothingIsLate pipes records that are in order in each partition, the partitions in any order, through
// each scenario, with commits, crashes, restarts and restores in between. None may be late, and however the partitions
// are mixed, the windows have the same records.
func TestWatermarks_nothingIsLate(t *testing.T) {
	const partitions, records = 4, 60
	for name, scenario := range watermarkScenarios() {
		if name == "watermarks-results" {
			continue // its results have other timestamps when the records come in another order
		}
		t.Run(name, func(t *testing.T) {
			b := topology.NewBuilder("app")
			scenario.Define(b)
			top, err := b.Build()
			require.NoError(t, err)
			topics := []string{"flights"}
			if name == "watermarks-join" {
				topics = append(topics, "gates")
			}
			var want map[string]int
			for seed := range uint64(20) {
				dice := rand.New(rand.NewPCG(seed, 1))
				d := topologytest.NewDriver(t, top, topologytest.Partitions(partitions), topologytest.CommitRandomly(seed))
				inputs := make(map[string]*topologytest.InputTopic[string, string])
				for _, topic := range topics {
					inputs[topic] = topologytest.Input(d, topic, codecs.String, codecs.String)
				}
				var sent [partitions]int
				for left := partitions * records; left > 0; {
					p := dice.IntN(partitions)
					if seed == 0 { // one after the other
						p = (partitions*records - left) / records
					}
					for range 1 + dice.IntN(20) {
						if sent[p] == records {
							break
						}
						i := sent[p]
						topic := topics[i%len(topics)]
						inputs[topic].PipeTo(int32(p), topology.Record[string, string]{
							Key: fmt.Sprintf("%c%c%d", 'A'+i%3, 'L', p), Value: fmt.Sprintf("%d.%d", p, i), Timestamp: int64(1000*i + 100*p),
						})
						sent[p]++
						left--
					}
					switch dice.IntN(12) {
					case 0:
						d.Crash()
					case 1:
						d.Restart()
					case 2:
						d.Restore()
					}
				}
				d.AdvanceWallClock(time.Hour) // all upstream tasks are idle
				for _, drop := range d.Drops() {
					require.NotEqual(t, topology.DropLateWindow, drop.Reason, "seed %d: %+v", seed, drop)
				}
				got := parts(topologytest.Output(d, "out", codecs.String, codecs.String).Drain(), name == "watermarks")
				if seed == 0 {
					want = got
					require.NotEmpty(t, want)
				}
				require.Equal(t, want, got, "seed %d", seed)
			}
		})
	}
}

// parts returns what the results of each key contain, whatever the order in which it came in.
func parts(records []topology.Record[string, string], numbers bool) map[string]int {
	last := make(map[string]string)
	all := make(map[string]int)
	for _, r := range records {
		last[r.Key] = r.Value
		if !numbers && !strings.Contains(r.Key, "@") {
			all[r.Key+": "+r.Value]++ // each result of a join counts
		}
	}
	for key, value := range last {
		switch {
		case numbers:
			n, _ := codecs.Int64.Decode([]byte(value))
			all[key] = int(n)
		case strings.Contains(key, "@"):
			for part := range strings.SplitSeq(value, "+") {
				all[key+": "+part]++
			}
		}
	}
	return all
}
