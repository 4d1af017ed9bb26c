package describe_test

import (
	"fmt"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/describe"
)

// delays describes an application whose windows have the given size.
func delays(w topology.TimeWindows) describe.Topology {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).GroupByKey().WindowedBy(w).Count("delays")
	top, err := b.Build()
	if err != nil {
		panic(err)
	}
	return top.Description()
}

// The stored description of the version that runs is compared with the description of the version that is to replace
// it.
func ExampleCompare() {
	version := func(define func(flights topology.Stream[string, string])) describe.Topology {
		b := topology.NewBuilder("airport")
		define(topology.Source(b, "flights", codecs.String, codecs.String))
		top, err := b.Build()
		if err != nil {
			panic(err)
		}
		return top.Description()
	}
	before := version(func(flights topology.Stream[string, string]) {
		flights.GroupByKey().Count("flights-by-number")
	})
	after := version(func(flights topology.Stream[string, string]) {
		flights.Filter(notCancelled, topology.Named("departed")).GroupByKey().Aggregate("flights-by-number", none, join, codecs.String)
	})
	for _, change := range describe.Compare(before, after) {
		fmt.Println(change.Meaning, "-", change.What)
	}
	// Output:
	// rebuild - store "flights-by-number" of group airport-flights-by-number is written by aggregate instead of count
	// nothing - operators without state of group airport-flights-by-number
}

// Versions that differ only in how long rows are kept may run side by side.
func ExampleTopology_Identify() {
	before, after := delays(topology.Tumbling(time.Hour)), delays(topology.Tumbling(time.Hour).Retention(24*time.Hour))
	fmt.Println("equal fingerprints:", before.Fingerprint == after.Fingerprint)
	fmt.Println("refused:", len(describe.Compare(before, after).Refused()))
	after = delays(topology.Tumbling(2 * time.Hour))
	fmt.Println("equal fingerprints:", before.Fingerprint == after.Fingerprint)
	fmt.Println("refused:", len(describe.Compare(before, after).Refused()))
	// Output:
	// equal fingerprints: true
	// refused: 0
	// equal fingerprints: false
	// refused: 1
}

func ExampleTopology_String() {
	fmt.Print(delays(topology.Tumbling(time.Hour)))
	// Output:
	// Topology: airport
	//    Sub-topology: delays (group: airport-delays)
	//     Store: delays (window, window size: 1h0m0s, retention: 1h0m0s, changelog: airport-delays-table)
	//     Source: source-flights (topic: flights)
	//       --> delays
	//     Processor: delays (stores: [delays])
	//       --> none
	//       <-- source-flights
}

func ExampleTopology_DOT() {
	fmt.Print(delays(topology.Tumbling(time.Hour)).DOT())
	// Output:
	// digraph "airport" {
	// 	rankdir=LR
	// 	"topic flights" [label="flights" shape=note]
	// 	subgraph "cluster delays" {
	// 		label="delays"
	// 		"source-flights"
	// 		"delays"
	// 		"store delays" [label="delays" shape=cylinder]
	// 	}
	// 	"source-flights" -> "delays"
	// 	"topic flights" -> "source-flights"
	// 	"delays" -> "store delays" [style=dashed]
	// }
}

// The next version counts flights by carrier and not delays. What it leaves behind stays in the stored description.
func ExampleTopology_After() {
	before := delays(topology.Tumbling(time.Hour))
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).GroupByKey().Count("flights-by-carrier")
	top, err := b.Build()
	if err != nil {
		panic(err)
	}
	after := top.Description().After(before)
	fmt.Println("retired:", after.Retired.Groups[0].Group, after.Retired.Groups[0].Changelog)
	// Output:
	// retired: airport-delays airport-delays-table
}
