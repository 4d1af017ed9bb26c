package topology_test

import (
	"fmt"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// updates are the updates of flights, by flight.
func updates(b *topology.Builder) topology.GroupedStream[string, string] {
	return topology.Source(b, "flights", codecs.String, codecs.String).GroupByKey()
}

func list(all, update string) string { return all + " " + update }

// seconds writes a window as its bounds in seconds.
func seconds(key string, w state.Window) string {
	return fmt.Sprintf("%s %g-%g", key, float64(w.Start)/1000, float64(w.End)/1000)
}

func ExampleGroupedStream_Reduce() {
	run(func(b *topology.Builder) {
		longest := func(longest, update string) string {
			if len(update) > len(longest) {
				return update
			}
			return longest
		}
		updates(b).Reduce("longest", longest, codecs.String).ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 closed", "flights KL1001 boarding", "flights KL1001 gone", "flights KL1001 -")
	// Output:
	// KL1001 -> closed @1000
	// KL1001 -> boarding @2000
	// KL1001 -> boarding @3000
	// dropped: null-value by longest
}

func ExampleHopping() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBy(topology.Hopping(4*time.Second, 2*time.Second)).
			Count("updates").
			ToStream(seconds).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 a", "flights KL1001 b", "flights KL1001 c")
	// Output:
	// KL1001 0-4 -> 1 @1000
	// KL1001 0-4 -> 2 @2000
	// KL1001 2-6 -> 1 @2000
	// KL1001 0-4 -> 3 @3000
	// KL1001 2-6 -> 2 @3000
}

func ExampleTimeWindowedStream_Reduce() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBy(topology.Tumbling(2*time.Second)).
			Reduce("all", list, codecs.String).
			ToStream(seconds).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 a", "flights KL1001 b", "flights KL1001 c")
	// Output:
	// KL1001 0-2 -> a @1000
	// KL1001 2-4 -> b @2000
	// KL1001 2-4 -> b c @3000
}

func ExampleSliding() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBy(topology.Sliding(time.Second).Grace(time.Second)).
			Reduce("all", list, codecs.String).
			ToStream(seconds).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 a", "flights KL1001 b", "flights BA0001 x", "flights KL1001 c")
	// Output:
	// KL1001 0-1 -> a @1000
	// KL1001 1.001-2.001 -> b @2000
	// KL1001 1-2 -> a b @2000
	// BA0001 2-3 -> x @3000
	// KL1001 3-4 -> c @4000
}

func ExampleSessions() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBySessions(topology.Sessions(time.Second).Grace(time.Second)).
			Count("updates").
			ToStream(seconds).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 a", "flights KL1001 b", "flights BA0001 x", "flights KL1001 c")
	// Output:
	// KL1001 1-1 -> 1 @1000
	// KL1001 1-1 -> null @1000
	// KL1001 1-2 -> 2 @2000
	// BA0001 3-3 -> 1 @3000
	// KL1001 4-4 -> 1 @4000
}

func ExampleSessionWindowedStream_Reduce() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBySessions(topology.Sessions(time.Second)).
			Reduce("all", list, codecs.String).
			ToStream(seconds).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 a", "flights KL1001 b")
	// Output:
	// KL1001 1-1 -> a @1000
	// KL1001 1-1 -> null @1000
	// KL1001 1-2 -> a b @2000
}

func ExampleSessionWindowedStream_Aggregate() {
	run(func(b *topology.Builder) {
		letters := func(_, update string, n int64) int64 { return n + int64(len(update)) }
		sum := func(_ string, a, b int64) int64 { return a + b }
		updates(b).WindowedBySessions(topology.Sessions(time.Second)).
			Aggregate("letters", func() int64 { return 0 }, letters, sum, codecs.Int64).
			ToStream(seconds).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 boarding", "flights KL1001 closed")
	// Output:
	// KL1001 1-1 -> 8 @1000
	// KL1001 1-1 -> null @1000
	// KL1001 1-2 -> 14 @2000
}

func ExampleTimeWindowedStream_EmitOnClose() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBy(topology.Tumbling(2*time.Second).Grace(time.Second)).
			EmitOnClose().
			Count("updates").
			ToStream(seconds).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 a", "flights KL1001 b", "flights KL1001 c", "flights KL1001 d", "flights KL1001 e")
	// Output:
	// KL1001 0-2 -> 1 @1000
	// KL1001 2-4 -> 2 @3000
}

func ExampleSessionWindowedStream_EmitOnClose() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBySessions(topology.Sessions(time.Second)).
			EmitOnClose().
			Count("updates").
			ToStream(seconds).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 a", "flights KL1001 b", "flights BA0001 x", "flights BA0001 y")
	// Output:
	// KL1001 1-2 -> 2 @2000
}

func ExampleGroupedStream_Cogroup() {
	run(func(b *topology.Builder) {
		bags := topology.Source(b, "bags", codecs.String, codecs.String).MapValues(func(bag string) int { return len(bag) })
		updates(b).
			Cogroup(func(_, update, seen string) string { return list(seen, update) }).
			Cogroup(bags.GroupByKey(), func(_ string, letters int, seen string) string { return fmt.Sprint(seen, " ", letters) }).
			Aggregate("seen", func() string { return "seen" }, codecs.String).
			ToStream().
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "bags KL1001 xxx", "flights KL1001 closed")
	// Output:
	// KL1001 -> seen boarding @1000
	// KL1001 -> seen boarding 3 @2000
	// KL1001 -> seen boarding 3 closed @3000
}

func ExampleTimeWindowedCogroup_Aggregate() {
	run(func(b *topology.Builder) {
		add := func(_, value, all string) string { return all + value }
		updates(b).
			Cogroup(add).
			Cogroup(topology.Source(b, "bags", codecs.String, codecs.String).GroupByKey(), add).
			WindowedBy(topology.Tumbling(3*time.Second)).
			Aggregate("all", func() string { return "" }, codecs.String).
			ToStream(seconds).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 a", "bags KL1001 b", "flights KL1001 c")
	// Output:
	// KL1001 0-3 -> a @1000
	// KL1001 0-3 -> ab @2000
	// KL1001 3-6 -> c @3000
}

func ExampleSessionWindowedCogroup_Aggregate() {
	run(func(b *topology.Builder) {
		add := func(_, value, all string) string { return all + value }
		merge := func(_, a, b string) string { return a + b }
		updates(b).
			Cogroup(add).
			Cogroup(topology.Source(b, "bags", codecs.String, codecs.String).GroupByKey(), add).
			WindowedBySessions(topology.Sessions(time.Second)).
			Aggregate("all", func() string { return "" }, merge, codecs.String).
			ToStream(seconds).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 a", "bags KL1001 b")
	// Output:
	// KL1001 1-1 -> a @1000
	// KL1001 1-1 -> null @1000
	// KL1001 1-2 -> ab @2000
}

func ExampleWindowedTable_Filter() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBy(topology.Tumbling(time.Minute)).
			Count("updates").
			Filter(func(_ string, _ state.Window, n int64) bool { return n > 1 }).
			ToStream(seconds).
			To("out", codecs.String, codecs.Int64)
	}, codecs.Int64, "flights KL1001 a", "flights KL1001 b")
	// Output:
	// KL1001 0-60 -> 2 @2000
}

func ExampleWindowedTable_MapValues() {
	run(func(b *topology.Builder) {
		updates(b).WindowedBy(topology.Tumbling(time.Minute)).
			Count("updates").
			MapValues(func(n int64) string { return fmt.Sprintf("%d so far", n) }).
			ToStream(seconds).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 a", "flights KL1001 b")
	// Output:
	// KL1001 0-60 -> 1 so far @1000
	// KL1001 0-60 -> 2 so far @2000
}

func ExampleKeyedByWindow() {
	codec := topology.TimeWindowedCodec(codecs.String, time.Minute)
	d := driver(func(b *topology.Builder) {
		counts := topology.KeyedByWindow(updates(b).WindowedBy(topology.Tumbling(time.Minute)).Count("updates"))
		topology.Source(b, "questions", codec, codecs.String).
			JoinTable(counts, func(question string, n int64) string { return fmt.Sprintf("%s %d", question, n) }).
			To("answers", codec, codecs.String)
	})
	topologytest.Input(d, "flights", codecs.String, codecs.String).Pipe("KL1001", "boarding", 61_000)
	minute := topology.WithWindow("KL1001", state.Window{Start: 60_000, End: 120_000})
	topologytest.Input(d, "questions", codec, codecs.String).Pipe(minute, "updates:", 5)
	for _, r := range topologytest.Output(d, "answers", codec, codecs.String).Drain() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// KL1001@1970-01-01T00:01:00Z/1970-01-01T00:02:00Z updates: 1
}

func ExampleSessionWindowedCodec() {
	codec := topology.SessionWindowedCodec(codecs.String)
	data, err := codec.Append(nil, topology.WithWindow("KL", state.Window{Start: 1, End: 2}))
	fmt.Printf("%x %v\n", data, err)
	// Output:
	// 4b4c00000000000000020000000000000001 <nil>
}
