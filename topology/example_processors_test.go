package topology_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// A processor with a store: it forwards only new values.
func ExampleStream_ProcessValues() {
	d := driver(func(b *topology.Builder) {
		gates := topology.KeyValueStore(b, "gates", codecs.String, codecs.String)
		topology.Source(b, "flights", codecs.String, codecs.String).
			ProcessValues("gate-changes", func(p *topology.ValuesContext[string]) (topology.Processor[string, string], error) {
				known := gates.In(p)
				return func(_ context.Context, r topology.Record[string, string]) error {
					gate, _, ok, err := known.Get(r.Key)
					if err != nil || ok && gate == r.Value {
						return err
					}
					p.Forward(gate + " -> " + r.Value)
					return known.Put(r.Key, r.Value, r.Timestamp)
				}, nil
			}).
			To("gate-changes", codecs.String, codecs.String)
	})
	flights := topologytest.Input(d, "flights", codecs.String, codecs.String)
	flights.Pipe("KL1001", "D7", 1000)
	flights.Pipe("KL1001", "D7", 2000)
	flights.Pipe("KL1001", "D9", 3000)
	for _, r := range topologytest.Output(d, "gate-changes", codecs.String, codecs.String).Drain() {
		fmt.Println(r.Key, r.Value, r.Timestamp)
	}
	// Output:
	// KL1001  -> D7 1000
	// KL1001 D7 -> D9 3000
}

// A processor that sorts records by children, counts them and reports every minute.
func ExampleStream_Process() {
	d := driver(func(b *topology.Builder) {
		counts := topology.KeyValueStore(b, "counts", codecs.String, codecs.Int64)
		sorted := topology.Source(b, "flights", codecs.String, codecs.String).
			Process("sort", func(p *topology.ProcessorContext[string, string]) (topology.Processor[string, string], error) {
				count, cancelled, report := counts.In(p), p.Child("cancelled"), p.Child("report")
				p.Schedule(time.Minute, topology.WallClock, func(_ context.Context, now int64) error {
					n, _, _, err := count.Get("flights")
					report.Forward(topology.Record[string, string]{Key: "flights", Value: fmt.Sprint(n), Timestamp: now})
					return err
				})
				return func(_ context.Context, r topology.Record[string, string]) error {
					if r.Value == "cancelled" {
						cancelled.Forward(r)
						return nil
					}
					n, _, _, err := count.Get("flights")
					if err != nil {
						return err
					}
					return count.Put("flights", n+1, r.Timestamp)
				}, nil
			})
		sorted.To("cancellations", codecs.String, codecs.String, topology.Named("cancelled"))
		sorted.To("reports", codecs.String, codecs.String, topology.Named("report"))
	})
	flights := topologytest.Input(d, "flights", codecs.String, codecs.String)
	flights.Pipe("KL1001", "boarding", 1000)
	flights.Pipe("KL1003", "cancelled", 2000)
	d.AdvanceWallClock(time.Minute)
	for _, topic := range []string{"cancellations", "reports"} {
		for _, r := range topologytest.Output(d, topic, codecs.String, codecs.String).Drain() {
			fmt.Println(topic, r.Key, r.Value, r.Timestamp)
		}
	}
	// Output:
	// cancellations KL1003 cancelled 2000
	// reports flights 1 60000
}

// A store that forgets: records that come twice within ten seconds are passed on once.
func ExampleExpiringStore() {
	d := driver(func(b *topology.Builder) {
		recent := topology.ExpiringStore(b, "recent", 10*time.Second, codecs.String, codecs.String)
		topology.Source(b, "positions", codecs.String, codecs.String).
			ProcessValues("dedupe", func(p *topology.ValuesContext[string]) (topology.Processor[string, string], error) {
				seen := recent.In(p)
				return func(_ context.Context, r topology.Record[string, string]) error {
					at, _, ok, err := seen.Get(r.Key)
					if err != nil || ok && at == r.Value {
						return err
					}
					p.Forward(r.Value)
					return seen.Put(r.Key, r.Value, r.Timestamp)
				}, nil
			}).
			To("moves", codecs.String, codecs.String)
	})
	positions := topologytest.Input(d, "positions", codecs.String, codecs.String)
	positions.Pipe("KL1001", "taxiway", 1000)
	positions.Pipe("KL1001", "taxiway", 9000)
	positions.Pipe("KL1001", "taxiway", 12000)
	for _, r := range topologytest.Output(d, "moves", codecs.String, codecs.String).Drain() {
		fmt.Println(r.Key, r.Value, r.Timestamp)
	}
	// Output:
	// KL1001 taxiway 1000
	// KL1001 taxiway 12000
}

// Two calls at a time, one for each flight.
func ExampleStream_ProcessAsync() {
	d := driver(func(b *topology.Builder) {
		forecast := func(_ context.Context, r topology.Record[string, string]) (string, error) {
			return r.Value + ": fog", nil // in real life, a call of another system
		}
		topology.Source(b, "flights", codecs.String, codecs.String).
			ProcessAsync("forecast", 2, forecast, topology.CallTimeout(5*time.Second)).
			To("forecasts", codecs.String, codecs.String)
	})
	flights := topologytest.Input(d, "flights", codecs.String, codecs.String)
	flights.Pipe("KL1001", "JFK", 1000)
	flights.Pipe("BA0001", "EWR", 2000)
	for _, r := range topologytest.Output(d, "forecasts", codecs.String, codecs.String).Drain() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// KL1001 JFK: fog
	// BA0001 EWR: fog
}
