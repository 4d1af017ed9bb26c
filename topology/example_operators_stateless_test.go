package topology_test

import (
	"fmt"
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func ExampleStream_FilterNot() {
	run(func(b *topology.Builder) {
		flights(b).
			FilterNot(func(_, status string) bool { return status == "cancelled" }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1003 cancelled")
	// Output:
	// KL1001 -> boarding @1000
}

func ExampleStream_FilterRecord() {
	run(func(b *topology.Builder) {
		flights(b).
			FilterRecord(func(r topology.Record[string, string]) bool { return !r.NullValue && r.Timestamp > 1000 }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1002 boarding", "flights KL1003 -")
	// Output:
	// KL1002 -> boarding @2000
}

func ExampleStream_Map() {
	run(func(b *topology.Builder) {
		flights(b).
			Map(func(flight, status string) (string, int64) { return flight[:2], int64(len(status)) }).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 boarding")
	// Output:
	// KL -> 8 @1000
}

func ExampleStream_MapValuesWithKey() {
	run(func(b *topology.Builder) {
		flights(b).
			MapValuesWithKey(func(flight, status string) string { return flight + " is " + status }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1001 -")
	// Output:
	// KL1001 -> KL1001 is boarding @1000
	// KL1001 -> null @2000
}

func ExampleStream_MapRecord() {
	run(func(b *topology.Builder) {
		flights(b).
			MapRecord(func(r topology.Record[string, string]) topology.Record[string, string] {
				if r.NullValue {
					r.Value, r.NullValue = "gone", false
				}
				r.Timestamp -= 500
				return r
			}).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1001 -")
	// Output:
	// KL1001 -> boarding @500
	// KL1001 -> gone @1500
}

func ExampleStream_FlatMap() {
	run(func(b *topology.Builder) {
		flights(b).
			FlatMap(func(flight, gates string, emit func(gate, flight string)) {
				for gate := range strings.SplitSeq(gates, ",") {
					emit(gate, flight)
				}
			}).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 D7,D8")
	// Output:
	// D7 -> KL1001 @1000
	// D8 -> KL1001 @1000
}

func ExampleStream_FlatMapValues() {
	run(func(b *topology.Builder) {
		flights(b).
			FlatMapValues(func(gates string, emit func(gate string)) {
				for gate := range strings.SplitSeq(gates, ",") {
					emit(gate)
				}
			}).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 D7,D8", "flights KL1001 -")
	// Output:
	// KL1001 -> D7 @1000
	// KL1001 -> D8 @1000
	// KL1001 -> null @2000
}

func ExampleStream_FlatMapValuesWithKey() {
	run(func(b *topology.Builder) {
		flights(b).
			FlatMapValuesWithKey(func(flight, gates string, emit func(text string)) {
				for gate := range strings.SplitSeq(gates, ",") {
					emit(flight + " at " + gate)
				}
			}).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 D7,D8")
	// Output:
	// KL1001 -> KL1001 at D7 @1000
	// KL1001 -> KL1001 at D8 @1000
}

func ExampleStream_FlatMapRecord() {
	run(func(b *topology.Builder) {
		flights(b).
			FlatMapRecord(func(r topology.Record[string, string], emit func(topology.Record[string, string])) {
				emit(r)
				r.Value, r.NullValue = "", true // and delete it a minute later
				r.Timestamp += 60_000
				emit(r)
			}).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding")
	// Output:
	// KL1001 -> boarding @1000
	// KL1001 -> null @61000
}

func ExampleStream_Split() {
	run(func(b *topology.Builder) {
		split := flights(b).Split()
		cancelled := split.Branch(func(_, status string) bool { return status == "cancelled" }, topology.Named("cancelled"))
		klm := split.Branch(func(flight, _ string) bool { return strings.HasPrefix(flight, "KL") }, topology.Named("klm"))
		others := split.Default(topology.Named("others"))

		cancelled.To("rebooking", codecs.String, codecs.String)
		klm.MapValues(strings.ToUpper).Merge(others).To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1003 cancelled", "flights BA0001 boarding")
	// Output:
	// KL1001 -> BOARDING @1000
	// BA0001 -> boarding @3000
}

func ExampleSplit_BranchRecord() {
	run(func(b *topology.Builder) {
		split := flights(b).Split()
		split.BranchRecord(func(r topology.Record[string, string]) bool { return r.NullValue }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1001 -")
	// Output:
	// KL1001 -> null @2000
}

func ExampleStream_Merge() {
	run(func(b *topology.Builder) {
		trains := topology.Source(b, "trains", codecs.String, codecs.String)
		ships := topology.Source(b, "ships", codecs.String, codecs.String)
		flights(b).Merge(trains, ships).To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "ships Titanic boarding", "trains IC1 boarding")
	// Output:
	// KL1001 -> boarding @1000
	// Titanic -> boarding @2000
	// IC1 -> boarding @3000
}

func ExampleStream_Peek() {
	run(func(b *topology.Builder) {
		flights(b).
			Peek(func(r topology.Record[string, string]) { fmt.Println("look:", r.Key, r.NullValue) }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 -")
	// Output:
	// look: KL1001 true
	// KL1001 -> null @1000
}

func ExampleStream_ForEach() {
	run(func(b *topology.Builder) {
		s := flights(b)
		s.ForEach(func(r topology.Record[string, string]) { fmt.Println(r.Key, r.Value, r.Timestamp) })
		s.To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding")
	// Output:
	// KL1001 boarding 1000
	// KL1001 -> boarding @1000
}
