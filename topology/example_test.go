package topology_test

import (
	"fmt"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// Departure is a flight that leaves an airport.
type Departure struct {
	Carrier string `json:"carrier"`
	Delay   int64  `json:"delay"` // minutes
}

// Airline is a row of the table of airlines.
type Airline struct {
	Name string `json:"name"`
}

// Delay is what the topology knows of an airline in one hour.
type Delay struct {
	Airline string `json:"airline"`
	Flights int64  `json:"flights"`
	Minutes int64  `json:"minutes"`
}

func departed(_ string, d Departure) bool    { return d.Delay >= 0 }
func byCarrier(_ string, d Departure) string { return d.Carrier }
func withName(d Departure, a Airline) Delay {
	return Delay{Airline: a.Name, Flights: 1, Minutes: d.Delay}
}
func zeroDelay() Delay                         { return Delay{} }
func hourOf(key string, w state.Window) string { return key + " " + w.StartTime().Format("15:04") }
func addDelay(_ string, d Delay, sum Delay) Delay {
	return Delay{Airline: d.Airline, Flights: sum.Flights + d.Flights, Minutes: sum.Minutes + d.Minutes}
}

// The whole of a program: which airline has how much delay in each hour.
func Example() {
	b := topology.NewBuilder("airport")
	flights := topology.Source(b, "flights", codecs.String, codecs.JSON[Departure]())
	airlines := topology.TableOf(b, "airlines", codecs.String, codecs.JSON[Airline]())
	flights.
		Filter(departed).
		Rekey(byCarrier).Repartition("flights-by-carrier", codecs.String, codecs.JSON[Departure]()).
		JoinTable(airlines, withName).
		GroupByKey().
		WindowedBy(topology.Tumbling(time.Hour).Grace(10*time.Minute)).
		Aggregate("delays-by-carrier", zeroDelay, addDelay, codecs.JSON[Delay]()).
		ToStream(hourOf).
		To("hourly-delays", codecs.String, codecs.JSON[Delay]())
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.NewDriver(topologytest.Example(), top)
	topologytest.Input(d, "airlines", codecs.String, codecs.JSON[Airline]()).Pipe("KL", Airline{"KLM"}, 0)
	in := topologytest.Input(d, "flights", codecs.String, codecs.JSON[Departure]())
	at := func(hour, minute int) int64 { return int64(hour*60+minute) * time.Minute.Milliseconds() }
	in.Pipe("KL1001", Departure{"KL", 5}, at(9, 10))
	in.Pipe("KL1003", Departure{"KL", -1}, at(9, 15)) // cancelled
	in.Pipe("KL1007", Departure{"KL", 20}, at(9, 55))
	in.Pipe("KL1009", Departure{"KL", 0}, at(10, 5))
	for _, r := range topologytest.Output(d, "hourly-delays", codecs.String, codecs.JSON[Delay]()).Drain() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// KL 09:00 {KLM 1 5}
	// KL 09:00 {KLM 2 25}
	// KL 10:00 {KLM 1 0}
}

func ExampleTopology_Describe() {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).
		GroupBy("by-gate", gate, codecs.String, codecs.String).
		Count("flights-by-gate").
		ToStream().
		To("gates", codecs.String, codecs.Int64)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(top.Describe())
	// Output:
	// Topology: airport
	//    Sub-topology: flights (group: airport-flights)
	//     Source: source-flights (topic: flights)
	//       --> group-by-1
	//     Processor: group-by-1 (stores: [])
	//       --> by-gate-repartition-sink
	//       <-- source-flights
	//     Sink: by-gate-repartition-sink (topic: airport-by-gate-repartition)
	//       <-- group-by-1
	//    Sub-topology: flights-by-gate (group: airport-flights-by-gate)
	//     Store: flights-by-gate (key-value, changelog: airport-flights-by-gate-table)
	//     Source: by-gate-repartition-source (topic: airport-by-gate-repartition)
	//       --> flights-by-gate
	//     Processor: flights-by-gate (stores: [flights-by-gate])
	//       --> to-stream-1
	//       <-- by-gate-repartition-source
	//     Processor: to-stream-1 (stores: [])
	//       --> sink-gates
	//       <-- flights-by-gate
	//     Sink: sink-gates (topic: gates)
	//       <-- to-stream-1
}

func ExampleTopology_DOT() {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).GroupByKey().Count("n")
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(top.DOT())
	// Output:
	// digraph "airport" {
	// 	rankdir=LR
	// 	"topic flights" [label="flights" shape=note]
	// 	subgraph "cluster n" {
	// 		label="n"
	// 		"source-flights"
	// 		"n"
	// 		"store n" [label="n" shape=cylinder]
	// 	}
	// 	"source-flights" -> "n"
	// 	"topic flights" -> "source-flights"
	// 	"n" -> "store n" [style=dashed]
	// }
}

func ExampleSubTopology_Inputs() {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).
		GroupBy("by-gate", gate, codecs.String, codecs.String, topology.Partitions(8)).
		Count("flights-by-gate")
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, sub := range top.SubTopologies() {
		for _, in := range sub.Inputs() {
			fmt.Printf("%s reads %s: partitions %d, written by %v, from %v\n", sub.Group(), in.Topic, in.Partitions, in.Upstream, in.Origins)
		}
	}
	// Output:
	// airport-flights reads flights: partitions 0, written by [], from [flights]
	// airport-flights-by-gate reads airport-by-gate-repartition: partitions 8, written by [airport-flights], from [flights]
}

// A task is what the runtime drives: records in, output to a sink, state in batches.
func ExampleTask() {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).GroupByKey().Count("n").ToStream().To("counts", codecs.String, codecs.JSON[int64]())
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	part, err := state.NewMemory().Open(0)
	if err != nil {
		fmt.Println(err)
		return
	}
	task, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: printer{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	for offset := range int64(2) {
		r := engine.RawRecord{Key: []byte("KL"), Value: []byte("boarding"), Timestamp: 1000 + offset, Offset: offset}
		if err := task.Process(0, &r); err != nil {
			fmt.Println(err)
			return
		}
	}
	var batch state.Batch
	if err := task.Flush(&batch); err != nil {
		fmt.Println(err)
		return
	}
	if err := part.Apply(&batch); err != nil {
		fmt.Println(err)
		return
	}
	task.Committed()
	fmt.Println("rows committed:", batch.Len())
	// Output:
	// counts: KL -> 1 @1000
	// counts: KL -> 2 @1001
	// rows committed: 1
}

// printer is a Sink that prints.
type printer struct{}

func (printer) Send(topic string, r engine.RawRecord) error {
	fmt.Printf("%s: %s -> %s @%d\n", topic, r.Key, r.Value, r.Timestamp)
	return nil
}
