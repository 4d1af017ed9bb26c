package topology_test

import (
	"fmt"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func ExampleTable_Suppress() {
	run(func(b *topology.Builder) {
		topology.TableOf(b, "gates", codecs.String, codecs.String).
			Suppress("settled-gates", topology.UntilTimeLimit(3*time.Second)).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "gates KL1001 D1", "gates KL1001 D2", "gates LH400 B7", "gates KL1001 D3", "gates LH400 B8", "gates LH400 B9")
	// Output:
	// KL1001 -> D3 @4000
	// LH400 -> B9 @6000
}

func ExampleSuppression_MaxRecords() {
	run(func(b *topology.Builder) {
		topology.TableOf(b, "gates", codecs.String, codecs.String).
			Suppress("settled-gates", topology.UntilTimeLimit(time.Hour).MaxRecords(2)).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "gates KL1001 D1", "gates LH400 B7", "gates KL1001 D2", "gates BA2 C1")
	// Output:
	// KL1001 -> D2 @3000
}

func ExampleWindowedTable_Suppress() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			WindowedBy(topology.Tumbling(3*time.Second).Grace(time.Second)).
			Count("departures").
			Suppress("final-departures", topology.UntilWindowCloses()).
			ToStream(inWindow).To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL KL1001", "flights KL KL1002", "flights LH LH400", "flights KL KL1003")
	// Output:
	// KL@0/3000 -> 2 @2000
}

func ExampleAdvanceWhenIdle() {
	b := topology.NewBuilder("airport", topology.AdvanceWhenIdle(5*time.Second))
	topology.Source(b, "flights", codecs.String, codecs.String).
		GroupByKey().
		WindowedBy(topology.Tumbling(time.Minute).Grace(0)).
		EmitOnClose().
		Count("departures").
		ToStream(inWindow).To("out", codecs.String, codecs.Int64)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	d := topologytest.NewDriver(topologytest.Example(), top)
	topologytest.Input(d, "flights", codecs.String, codecs.String).Pipe("KL", "KL1001", 30_000)
	d.AdvanceWallClock(30 * time.Second) // nobody departs any more
	for _, r := range topologytest.Output(d, "out", codecs.String, codecs.Int64).Drain() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// KL@0/60000 1
}
