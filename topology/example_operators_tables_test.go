package topology_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// A fare that comes late does not replace the latest one, and the history is right all the same.
func ExampleVersioned() {
	d := driver(func(b *topology.Builder) {
		topology.TableOf(b, "fares", codecs.String, codecs.Int64, topology.Versioned(time.Hour))
	})
	fares := topologytest.Input(d, "fares", codecs.String, codecs.Int64)
	fares.Pipe("AMS-LHR", 120, 1000)
	fares.Pipe("AMS-LHR", 180, 9000)
	fares.Pipe("AMS-LHR", 150, 5000)
	for _, v := range topologytest.Versions(d, "fares", codecs.String, codecs.Int64) {
		fmt.Println(v.Key, v.Value, "from", v.ValidFrom)
	}
	// Output:
	// AMS-LHR 120 from 1000
	// AMS-LHR 150 from 5000
	// AMS-LHR 180 from 9000
}

// A gate without an update for two seconds is gone.
func ExampleTTL() {
	run(func(b *topology.Builder) {
		topology.TableOf(b, "gates", codecs.String, codecs.String, topology.TTL(2*time.Second)).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "gates KL1 D7", "gates BA2 A1", "gates BA2 A2", "gates BA2 A3")
	// Output:
	// KL1 -> D7 @1000
	// BA2 -> A1 @2000
	// BA2 -> A2 @3000
	// KL1 -> null @3000
	// BA2 -> A3 @4000
}

func boardings(b *topology.Builder) topology.Table[string, string] {
	return topology.TableOf(b, "flights", codecs.String, codecs.String)
}

func gates(b *topology.Builder) topology.Table[string, string] {
	return topology.TableOf(b, "gates", codecs.String, codecs.String)
}

func isBoarding(_, status string) bool { return status == "boarding" }

func ExampleTable_Filter() {
	run(func(b *topology.Builder) {
		boardings(b).Filter(isBoarding).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 boarding", "flights KL1 closed", "flights BA2 closed")
	// Output:
	// KL1 -> boarding @1000
	// KL1 -> null @2000
}

func ExampleTable_FilterNot() {
	run(func(b *topology.Builder) {
		boardings(b).FilterNot(isBoarding).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 boarding", "flights KL1 closed")
	// Output:
	// KL1 -> closed @2000
}

func ExampleTable_MapValues() {
	run(func(b *topology.Builder) {
		boardings(b).MapValues(strings.ToUpper).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 boarding", "flights KL1 -")
	// Output:
	// KL1 -> BOARDING @1000
	// KL1 -> null @2000
}

func ExampleTable_MapValuesWithKey() {
	run(func(b *topology.Builder) {
		say := func(flight, status string) string { return flight + " is " + status }
		boardings(b).MapValuesWithKey(say).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 boarding")
	// Output:
	// KL1 -> KL1 is boarding @1000
}

// The store "boarding" can be queried.
func ExampleTable_Materialize() {
	run(func(b *topology.Builder) {
		boardings(b).Filter(isBoarding).Materialize("boarding", codecs.String).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 boarding")
	// Output:
	// KL1 -> boarding @1000
}

func ExampleStream_ToTable() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String).
			MapValues(strings.ToUpper).
			ToTable("latest", codecs.String).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 boarding", "flights - closed")
	// Output:
	// KL1 -> BOARDING @1000
	// dropped: null-key by latest
}

func ExampleTable_Join() {
	run(func(b *topology.Builder) {
		at := func(status, gate string) string { return status + " at " + gate }
		boardings(b).Join(gates(b), at).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 boarding", "gates KL1 D7", "gates KL1 D8", "flights KL1 -")
	// Output:
	// KL1 -> boarding at D7 @2000
	// KL1 -> boarding at D8 @3000
	// KL1 -> null @4000
}

func ExampleTable_LeftJoin() {
	run(func(b *topology.Builder) {
		at := func(status string, gate *string) string {
			if gate == nil {
				return status + " somewhere"
			}
			return status + " at " + *gate
		}
		boardings(b).LeftJoin(gates(b), at).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 boarding", "gates KL1 D7", "gates BA2 A1")
	// Output:
	// KL1 -> boarding somewhere @1000
	// KL1 -> boarding at D7 @2000
}

func ExampleTable_OuterJoin() {
	run(func(b *topology.Builder) {
		pair := func(status, gate *string) string {
			switch {
			case status == nil:
				return *gate + " is free"
			case gate == nil:
				return *status + " somewhere"
			}
			return *status + " at " + *gate
		}
		boardings(b).OuterJoin(gates(b), pair).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "gates D7 D7", "flights D7 boarding", "gates D7 -")
	// Output:
	// D7 -> D7 is free @1000
	// D7 -> boarding at D7 @2000
	// D7 -> boarding somewhere @3000
}

// How many flights are at each gate.
func ExampleTable_GroupBy() {
	run(func(b *topology.Builder) {
		byGate := func(flight, gate string) (string, string) { return gate, flight }
		topology.TableOf(b, "flights", codecs.String, codecs.String).
			GroupBy("flights-by-gate", byGate, codecs.String, codecs.String).
			Count("flights-at-gate").
			ToStream().To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1 D7", "flights BA2 D7", "flights KL1 D8")
	// Output:
	// D7 -> 1 @1000
	// D7 -> 2 @2000
	// D7 -> 1 @3000
	// D8 -> 1 @3000
}

func ExampleGroupedTable_Reduce() {
	run(func(b *topology.Builder) {
		passengers := func(flight string, n int64) (string, int64) { return flight[:2], n }
		plus := func(sum, n int64) int64 { return sum + n }
		minus := func(sum, n int64) int64 { return sum - n }
		topology.Source(b, "bookings", codecs.String, codecs.String).
			GroupByKey().Count("passengers").
			GroupBy("by-carrier", passengers, codecs.String, codecs.Int64).
			Reduce("passengers-by-carrier", plus, minus).
			ToStream().To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "bookings KL1 Ann", "bookings KL2 Bob", "bookings KL1 Eve")
	// Output:
	// KL -> 1 @1000
	// KL -> 2 @2000
	// KL -> 3 @3000
}

// The flights of each gate, as a set.
func ExampleGroupedTable_Aggregate() {
	run(func(b *topology.Builder) {
		byGate := func(flight, gate string) (string, string) { return gate, flight }
		none := func() string { return "" }
		add := func(_, flight, all string) string { return all + flight + " " }
		remove := func(_, flight, all string) string { return strings.Replace(all, flight+" ", "", 1) }
		empty := func(all string) bool { return all == "" }
		topology.TableOf(b, "flights", codecs.String, codecs.String).
			GroupBy("flights-by-gate", byGate, codecs.String, codecs.String).
			Aggregate("flights-at-gate", none, add, remove, codecs.String, topology.DeleteWhen(empty)).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1 D7", "flights BA2 D7", "flights KL1 D8", "flights BA2 -")
	// Output:
	// D7 -> KL1  @1000
	// D7 -> KL1 BA2  @2000
	// D7 -> BA2  @3000
	// D8 -> KL1  @3000
	// D7 -> null @4000
}

// Of several updates between two commits the last one is forwarded.
func ExampleTable_EmitOnCommit() {
	d := driver(func(b *topology.Builder) {
		gates(b).EmitOnCommit().ToStream().To("out", codecs.String, codecs.String)
	}, topologytest.CommitEvery(4))
	in := topologytest.Input(d, "gates", codecs.String, codecs.String)
	in.Pipe("KL1", "D7", 1000)
	in.Pipe("BA2", "A1", 2000)
	in.Pipe("KL1", "D8", 3000)
	in.PipeNullValue("BA2", 4000)
	for _, r := range topologytest.Output(d, "out", codecs.String, codecs.String).Drain() {
		fmt.Printf("%s -> %s @%d\n", r.Key, r.Value, r.Timestamp)
	}
	// Output:
	// KL1 -> D8 @3000
}

// Which flights are at a gate now?
func ExampleTable_Index() {
	d := driver(func(b *topology.Builder) {
		gates(b).Index("by-gate", func(_, gate string) (string, bool) { return gate, gate != "closed" }, codecs.String)
	})
	flights := topologytest.Input(d, "gates", codecs.String, codecs.String)
	flights.Pipe("KL1", "D7", 1000)
	flights.Pipe("BA2", "D7", 2000)
	flights.Pipe("LH3", "D8", 3000)
	flights.Pipe("KL1", "D8", 4000)
	flights.Pipe("BA2", "closed", 5000)
	for _, row := range topologytest.IndexRows(d, "by-gate", codecs.String, codecs.String, codecs.String) {
		fmt.Println(row.Index, row.Key)
	}
	// Output:
	// D8 KL1
	// D8 LH3
}

// Flights are found by each word of their remarks.
func ExampleTable_IndexEach() {
	d := driver(func(b *topology.Builder) {
		topology.TableOf(b, "remarks", codecs.String, codecs.String).
			IndexEach("by-word", func(_, remark string) iter.Seq[string] { return strings.FieldsSeq(remark) }, codecs.String)
	})
	remarks := topologytest.Input(d, "remarks", codecs.String, codecs.String)
	remarks.Pipe("KL1", "late gate changed", 1000)
	remarks.Pipe("BA2", "late", 2000)
	for _, row := range topologytest.IndexRows(d, "by-word", codecs.String, codecs.String, codecs.String) {
		fmt.Println(row.Index, row.Key)
	}
	// Output:
	// changed KL1
	// gate KL1
	// late BA2
	// late KL1
}

// A processor asks who else is at the gate of a flight.
func ExampleIndex_In() {
	d := driver(func(b *topology.Builder) {
		byGate := gates(b).Index("by-gate", func(_, gate string) (string, bool) { return gate, true }, codecs.String)
		topology.Source(b, "questions", codecs.String, codecs.String).
			ProcessValues("answer", func(p *topology.ValuesContext[string]) (topology.Processor[string, string], error) {
				flights := byGate.In(p)
				return func(_ context.Context, r topology.Record[string, string]) error {
					for flight, err := range flights.Find(r.Value) {
						if err != nil {
							return err
						}
						p.Forward(flight.Key)
					}
					return nil
				}, nil
			}).
			To("answers", codecs.String, codecs.String)
	})
	flights := topologytest.Input(d, "gates", codecs.String, codecs.String)
	flights.Pipe("KL1", "D7", 1000)
	flights.Pipe("BA2", "D7", 2000)
	flights.Pipe("LH3", "D8", 3000)
	topologytest.Input(d, "questions", codecs.String, codecs.String).Pipe("who?", "D7", 4000)
	for _, r := range topologytest.Output(d, "answers", codecs.String, codecs.String).Drain() {
		fmt.Println(r.Value)
	}
	// Output:
	// BA2
	// KL1
}
