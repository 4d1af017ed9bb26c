package topology_test

import (
	"fmt"
	"time"
	_ "time/tzdata" // the time zone database is part of the program

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// Departures on each day in Berlin. On 31 March 2024 the clocks were set forward, so that day has 23 hours.
func ExampleDays() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	date := func(key string, w state.Window) string {
		start := w.StartTime().In(berlin).Format(time.DateOnly)
		return fmt.Sprintf("%s on %s, %v", key, start, w.EndTime().Sub(w.StartTime()))
	}

	b := topology.NewBuilder("departures")
	topology.Source(b, "flights", codecs.String, codecs.String).
		GroupByKey().
		WindowedBy(topology.Days(berlin).Grace(time.Hour)).
		Count("departures-by-day").
		ToStream(date).
		To("out", codecs.String, codecs.Int64)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.NewDriver(topologytest.Example(), top)
	in := topologytest.Input(d, "flights", codecs.String, codecs.String)
	at := func(day, hour int) int64 { return time.Date(2024, time.March, day, hour, 0, 0, 0, berlin).UnixMilli() }
	in.Pipe("KL", "KL1001", at(30, 23))
	in.Pipe("KL", "KL1003", at(31, 0))
	in.Pipe("KL", "KL1007", at(31, 23))
	in.Pipe("KL", "KL1009", at(32, 0))
	for _, r := range topologytest.Output(d, "out", codecs.String, codecs.Int64).Drain() {
		fmt.Println(r.Key, "->", r.Value)
	}
	// Output:
	// KL on 2024-03-30, 24h0m0s -> 1
	// KL on 2024-03-31, 23h0m0s -> 1
	// KL on 2024-03-31, 23h0m0s -> 2
	// KL on 2024-04-01, 24h0m0s -> 1
}
