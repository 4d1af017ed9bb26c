package topology_test

import (
	"fmt"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func ExampleStream_Join() {
	run(func(b *topology.Builder) {
		flights := topology.Source(b, "flights", codecs.String, codecs.String)
		gates := topology.Source(b, "gates", codecs.String, codecs.String)
		flights.Join("flights-at-gates", gates, topology.Within(2*time.Second),
			func(flight, gate string) string { return flight + " at " + gate }, codecs.String, codecs.String).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "gates KL1001 D7", "flights KL1001 boarding", "gates KL1001 D9", "gates BA1 E4", "gates BA1 E5", "flights KL1001 departed")
	// Output:
	// KL1001 -> boarding at D7 @2000
	// KL1001 -> boarding at D9 @3000
}

func ExampleStream_LeftJoin() {
	run(func(b *topology.Builder) {
		flights := topology.Source(b, "flights", codecs.String, codecs.String)
		gates := topology.Source(b, "gates", codecs.String, codecs.String)
		flights.LeftJoin("flights-at-gates", gates, topology.Within(2*time.Second),
			func(flight string, gate *string) string {
				if gate == nil {
					return flight + " nowhere"
				}
				return flight + " at " + *gate
			}, codecs.String, codecs.String).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights BA1 boarding", "gates KL1001 D7", "gates LH1 A1", "gates LH1 A2")
	// Output:
	// KL1001 -> boarding at D7 @3000
	// BA1 -> boarding nowhere @2000
}

func ExampleStream_OuterJoin() {
	run(func(b *topology.Builder) {
		ordered := topology.Source(b, "ordered", codecs.String, codecs.String)
		served := topology.Source(b, "served", codecs.String, codecs.String)
		ordered.OuterJoin("meals", served, topology.Within(0).After(2*time.Second),
			func(ordered, served *string) string {
				switch {
				case served == nil:
					return "still hungry for " + *ordered
				case ordered == nil:
					return "did not want " + *served
				}
				return "wanted " + *ordered + ", got " + *served
			}, codecs.String, codecs.String).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "ordered 12A fish", "served 12A pasta", "ordered 12B fish", "served 12C pasta", "ordered 12D fish", "served 12D fish")
	// Output:
	// 12A -> wanted fish, got pasta @2000
	// 12B -> still hungry for fish @3000
	// 12C -> did not want pasta @4000
	// 12D -> wanted fish, got fish @6000
}

func ExampleWithin() {
	run(func(b *topology.Builder) {
		// A gate belongs to a flight if it is named in the second before the flight or the two after it.
		windows := topology.Within(2 * time.Second).Before(time.Second).Grace(10 * time.Second)
		flights := topology.Source(b, "flights", codecs.String, codecs.String)
		gates := topology.Source(b, "gates", codecs.String, codecs.String)
		flights.Join("flights-at-gates", gates, windows,
			func(flight, gate string) string { return flight + " at " + gate }, codecs.String, codecs.String).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "gates KL1001 D1", "gates KL1001 D2", "flights KL1001 boarding", "gates KL1001 D4", "gates KL1001 D5", "gates KL1001 D6")
	// Output:
	// KL1001 -> boarding at D2 @3000
	// KL1001 -> boarding at D4 @4000
	// KL1001 -> boarding at D5 @5000
}

func ExampleStream_LeftJoinTable() {
	run(func(b *topology.Builder) {
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
		topology.Source(b, "flights", codecs.String, codecs.String).
			LeftJoinTable(airlines, func(flight string, airline *string) string {
				if airline == nil {
					return flight + " of nobody"
				}
				return flight + " of " + *airline
			}).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL KL1001", "airlines KL KLM", "flights KL KL1003")
	// Output:
	// KL -> KL1001 of nobody @1000
	// KL -> KL1003 of KLM @3000
}

func ExampleStream_JoinTableWithGrace() {
	d := driver(func(b *topology.Builder) {
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String, topology.Versioned(time.Hour))
		topology.Source(b, "flights", codecs.String, codecs.String).
			JoinTableWithGrace("flights-with-airline", airlines, time.Minute,
				func(flight, airline string) string { return flight + " of " + airline }, codecs.String).
			To("out", codecs.String, codecs.String)
	})
	flights := topologytest.Input(d, "flights", codecs.String, codecs.String)
	flights.Pipe("KL", "KL1001", 10_000)
	// The name comes later than the flight, but has been valid since before it.
	topologytest.Input(d, "airlines", codecs.String, codecs.String).Pipe("KL", "KLM", 5_000)
	flights.Pipe("KL", "KL1003", 70_000)
	for _, r := range topologytest.Output(d, "out", codecs.String, codecs.String).Drain() {
		fmt.Println(r.Key, r.Value, r.Timestamp)
	}
	// Output:
	// KL KL1001 of KLM 10000
}

func ExampleStream_LeftJoinTableWithGrace() {
	run(func(b *topology.Builder) {
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String, topology.Versioned(time.Hour))
		topology.Source(b, "flights", codecs.String, codecs.String).
			LeftJoinTableWithGrace("flights-with-airline", airlines, time.Second, func(flight string, airline *string) string {
				if airline == nil {
					return flight + " of nobody"
				}
				return flight + " of " + *airline
			}, codecs.String).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL KL1001", "airlines KL KLM", "flights KL KL1003", "flights BA BA1")
	// Output:
	// KL -> KL1001 of nobody @1000
	// KL -> KL1003 of KLM @3000
}
