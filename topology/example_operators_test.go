package topology_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// driver runs a topology for an example.
func driver(define func(b *topology.Builder), opts ...topologytest.Option) *topologytest.Driver {
	b := topology.NewBuilder("airport")
	define(b)
	top, err := b.Build()
	if err != nil {
		panic(err)
	}
	return topologytest.NewDriver(topologytest.Example(), top, opts...)
}

// run pipes records into the topics that a topology reads and prints what it writes to the topic "out". A record is
// written as "topic key value", with - for null; the time is its number in seconds.
func run[V any](define func(b *topology.Builder), value codecs.Codec[V], records ...string) {
	d := driver(define)
	for i, r := range records {
		f := strings.Fields(r)
		topologytest.Input(d, f[0], codecs.String, codecs.String).PipeRecord(topology.Record[string, string]{
			Key: f[1], NullKey: f[1] == "-", Value: f[2], NullValue: f[2] == "-", Timestamp: int64(i+1) * 1000,
		})
	}
	for _, r := range topologytest.Output(d, "out", codecs.String, value).Drain() {
		switch {
		case r.NullValue:
			fmt.Printf("%s -> null @%d\n", r.Key, r.Timestamp)
		default:
			fmt.Printf("%s -> %v @%d\n", r.Key, r.Value, r.Timestamp)
		}
	}
	for _, drop := range d.Drops() {
		fmt.Printf("dropped: %s by %s\n", drop.Reason, drop.Node)
	}
}

func gate(_, g string) string { return g }

func ExampleSource() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding")
	// Output:
	// KL1001 -> boarding @1000
}

func ExampleTableOf() {
	run(func(b *topology.Builder) {
		topology.TableOf(b, "airlines", codecs.String, codecs.String).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "airlines KL KLM", "airlines KL Royal-Dutch", "airlines - nobody", "airlines KL -")
	// Output:
	// KL -> KLM @1000
	// KL -> Royal-Dutch @2000
	// KL -> null @4000
	// dropped: null-key by airlines
}

func ExampleNamed() {
	run(func(b *topology.Builder) {
		topology.TableOf(b, "airport.airlines", codecs.String, codecs.String, topology.Named("airlines")).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "airport.airlines - nobody")
	// Output:
	// dropped: null-key by airlines
}

func ExampleStream_Filter() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			Filter(func(_, status string) bool { return status != "cancelled" }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1003 cancelled")
	// Output:
	// KL1001 -> boarding @1000
}

func ExampleStream_MapValues() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			MapValues(func(status string) int64 { return int64(len(status)) }).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 boarding", "flights KL1001 -")
	// Output:
	// KL1001 -> 8 @1000
	// KL1001 -> null @2000
}

func ExampleStream_Rekey() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			Rekey(func(flight, _ string) string { return flight[:2] }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding")
	// Output:
	// KL -> boarding @1000
}

func ExampleStream_Repartition() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			Rekey(gate).
			Repartition("by-gate", codecs.String, codecs.String, topology.Partitions(8)).
			GroupByKey().
			Count("flights-by-gate").
			ToStream().
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 D7", "flights BA0001 D7")
	// Output:
	// D7 -> 1 @1000
	// D7 -> 2 @2000
}

func ExampleStream_GroupByKey() {
	run(func(b *topology.Builder) {
		topology.Source(b, "positions", codecs.String, codecs.String).
			GroupByKey().
			Aggregate("route", func() string { return "" }, func(_, at, route string) string { return route + at }, codecs.String).
			ToStream().
			To("out", codecs.String, codecs.String)
	}, codecs.String, "positions KL1001 A", "positions KL1001 B")
	// Output:
	// KL1001 -> A @1000
	// KL1001 -> AB @2000
}

func ExampleStream_GroupBy() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupBy("by-gate", gate, codecs.String, codecs.String).
			Count("flights-by-gate").
			ToStream().
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 D7", "flights BA0001 D7", "flights BA0001 -")
	// Output:
	// D7 -> 1 @1000
	// D7 -> 2 @2000
	// dropped: null-key by by-gate-repartition-sink
}

func ExampleGroupedStream_Count() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			Count("updates").
			ToStream().
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 boarding", "flights KL1001 closed", "flights KL1001 -")
	// Output:
	// KL1001 -> 1 @1000
	// KL1001 -> 2 @2000
	// dropped: null-value by updates
}

func ExampleGroupedStream_Aggregate() {
	run(func(b *topology.Builder) {
		longest := func(_, status, longest string) string {
			if len(status) > len(longest) {
				return status
			}
			return longest
		}
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			Aggregate("longest", func() string { return "" }, longest, codecs.String).
			ToStream().
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 closed", "flights KL1001 boarding", "flights KL1001 gone")
	// Output:
	// KL1001 -> closed @1000
	// KL1001 -> boarding @2000
	// KL1001 -> boarding @3000
}

func ExampleDeleteWhen() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			Aggregate("status", func() string { return "" }, func(_, status, _ string) string { return status }, codecs.String,
				topology.DeleteWhen(func(status string) bool { return status == "departed" })).
			ToStream().
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1001 departed")
	// Output:
	// KL1001 -> boarding @1000
	// KL1001 -> null @2000
}

func ExampleGroupedStream_WindowedBy() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			WindowedBy(topology.Tumbling(2*time.Second)).
			Count("updates").
			ToStream(func(key string, w state.Window) string { return fmt.Sprintf("%s from %d", key, w.Start) }).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 a", "flights KL1001 b", "flights KL1001 c", "flights KL1001 d")
	// Output:
	// KL1001 from 0 -> 1 @1000
	// KL1001 from 2000 -> 1 @2000
	// KL1001 from 2000 -> 2 @3000
	// KL1001 from 4000 -> 1 @4000
}

func ExampleTimeWindows_Grace() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupBy("by-gate", gate, codecs.String, codecs.String).
			WindowedBy(topology.Tumbling(time.Second).Grace(2*time.Second).Retention(time.Hour)).
			Count("flights-by-gate").
			ToStream(func(key string, w state.Window) string { return fmt.Sprintf("%s from %d", key, w.Start) }).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 D7", "flights BA0001 D7")
	// Output:
	// D7 from 1000 -> 1 @1000
	// D7 from 2000 -> 1 @2000
}

func ExampleTimeWindowedStream_Count() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			WindowedBy(topology.Tumbling(time.Minute)).
			Count("updates").
			ToStream(func(key string, _ state.Window) string { return key }).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 a", "flights KL1001 -", "flights - c")
	// Output:
	// KL1001 -> 1 @1000
	// KL1001 -> 2 @2000
	// dropped: null-key by updates
}

func ExampleTimeWindowedStream_Aggregate() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			WindowedBy(topology.Tumbling(2*time.Second)).
			Aggregate("all", func() string { return "" }, func(_, v, all string) string { return all + v }, codecs.String).
			ToStream(func(key string, _ state.Window) string { return key }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 a", "flights KL1001 b", "flights KL1001 c")
	// Output:
	// KL1001 -> a @1000
	// KL1001 -> b @2000
	// KL1001 -> bc @3000
}

func ExampleStream_JoinTable() {
	run(func(b *topology.Builder) {
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
		topology.Source(b, "flights", codecs.String, codecs.String).
			JoinTable(airlines, func(flight, airline string) string { return flight + " of " + airline }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL KL1001", "airlines KL KLM", "flights KL KL1001")
	// Output:
	// KL -> KL1001 of KLM @3000
}

func ExampleTable_ToStream() {
	run(func(b *topology.Builder) {
		topology.TableOf(b, "airlines", codecs.String, codecs.String).
			ToStream().
			MapValues(strings.ToUpper).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "airlines KL klm", "airlines KL -")
	// Output:
	// KL -> KLM @1000
	// KL -> null @2000
}

func ExampleWindowedTable_ToStream() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			WindowedBy(topology.Tumbling(time.Hour)).
			Count("updates").
			ToStream(func(key string, w state.Window) string { return w.StartTime().Format("15:04 ") + key }).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 boarding")
	// Output:
	// 00:00 KL1001 -> 1 @1000
}

func ExampleStream_To() {
	run(func(b *topology.Builder) {
		flights := topology.Source(b, "flights", codecs.String, codecs.String)
		flights.To("out", codecs.String, codecs.String)
		flights.To("archive", codecs.String, codecs.JSON[string]())
	}, codecs.String, "flights KL1001 boarding")
	// Output:
	// KL1001 -> boarding @1000
}

func ExampleWithWindow() {
	codec := topology.TimeWindowedCodec(codecs.String, time.Hour)
	d := driver(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			GroupByKey().
			WindowedBy(topology.Tumbling(time.Hour)).
			Count("updates").
			ToStream(topology.WithWindow).
			To("out", codec, codecs.Int64)
	})
	topologytest.Input(d, "flights", codecs.String, codecs.String).Pipe("KL1001", "boarding", 1000)
	for _, r := range topologytest.Output(d, "out", codec, codecs.Int64).Drain() {
		fmt.Println(r.Key.Key, r.Key.Window.EndTime().Format("15:04"), r.Value)
	}
	// Output:
	// KL1001 01:00 1
}
