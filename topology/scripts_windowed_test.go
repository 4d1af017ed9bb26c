package topology_test

import (
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// windowScenarios are the scenarios of aggregates: windowed, and of several streams.
func windowScenarios() map[string]topologytest.Scenario {
	str := codecs.String
	number := topologytest.Format{Value: topologytest.TextOf(codecs.Int64)}
	counts := map[string]topologytest.Format{"out": number, "flights-by-carrier": number}
	grouped := func(b *topology.Builder) topology.GroupedStream[string, string] { return flights(b).GroupByKey() }
	gone := topology.DeleteWhen(func(gates string) bool { return strings.HasSuffix(gates, "gone") })
	tumbling := topology.Tumbling(10 * time.Second).Grace(5 * time.Second)
	sliding := topology.Sliding(5 * time.Second).Grace(4 * time.Second)
	sessions := topology.Sessions(5 * time.Second).Grace(4 * time.Second)
	return map[string]topologytest.Scenario{
		"reduce": {Define: func(b *topology.Builder) { out(grouped(b).Reduce("gates", plus, str).ToStream()) }},
		"reduce-delete": {Define: func(b *topology.Builder) {
			out(grouped(b).Reduce("gates", plus, str, gone).ToStream())
		}},
		"hopping-count": {Formats: counts, Define: func(b *topology.Builder) {
			hopping := topology.Hopping(10*time.Second, 5*time.Second).Grace(5 * time.Second)
			outCount(grouped(b).WindowedBy(hopping).Count("flights-by-carrier").ToStream(inWindow))
		}},
		"windowed-reduce": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBy(tumbling).Reduce("gates", plus, str).ToStream(inWindow))
		}},
		"sliding-aggregate": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBy(sliding).Aggregate("gates", none, join, str).ToStream(inWindow))
		}},
		"sliding-reduce-delete": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBy(sliding).Reduce("gates", plus, str, gone).ToStream(inWindow))
		}},
		"session-aggregate": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBySessions(sessions).Aggregate("gates", none, join, bar, str).ToStream(inWindow))
		}},
		"session-count": {Formats: counts, Define: func(b *topology.Builder) {
			outCount(grouped(b).WindowedBySessions(sessions).Count("flights-by-carrier").ToStream(inWindow))
		}},
		"session-reduce-delete": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBySessions(topology.Sessions(5*time.Second)).Reduce("gates", plus, str, gone).ToStream(inWindow))
		}},
		"emit-on-close": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBy(tumbling).EmitOnClose().Aggregate("gates", none, join, str).ToStream(inWindow))
		}},
		"emit-on-close-hopping": {Define: func(b *topology.Builder) {
			hopping := topology.Hopping(10*time.Second, 4*time.Second).Grace(5 * time.Second)
			out(grouped(b).WindowedBy(hopping).EmitOnClose().Reduce("gates", plus, str, gone).ToStream(inWindow))
		}},
		"emit-on-close-sliding": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBy(sliding).EmitOnClose().Aggregate("gates", none, join, str).ToStream(inWindow))
		}},
		"emit-on-close-sessions": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBySessions(sessions).EmitOnClose().Aggregate("gates", none, join, bar, str).ToStream(inWindow))
		}},
		"emit-within-retention": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBy(tumbling).EmitOnClose(topology.WithinRetention()).
				Aggregate("gates", none, join, str).ToStream(inWindow))
		}},
		"emit-within-retention-sliding": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBy(sliding).EmitOnClose(topology.WithinRetention()).
				Aggregate("gates", none, join, str).ToStream(inWindow))
		}},
		"emit-within-retention-sessions": {Define: func(b *topology.Builder) {
			out(grouped(b).WindowedBySessions(sessions).EmitOnClose(topology.WithinRetention()).
				Aggregate("gates", none, join, bar, str).ToStream(inWindow))
		}},
		"emit-on-close-join": closedJoin(topology.TimeWindowedCodec(str, 5*time.Second), func(s topology.GroupedStream[string, string], name string) topology.WindowedTable[string, string] {
			return s.WindowedBy(topology.Tumbling(5*time.Second)).EmitOnClose().Aggregate(name, none, join, str)
		}),
		"emit-on-close-join-sliding": closedJoin(topology.TimeWindowedCodec(str, 5*time.Second), func(s topology.GroupedStream[string, string], name string) topology.WindowedTable[string, string] {
			return s.WindowedBy(topology.Sliding(5*time.Second)).EmitOnClose().Aggregate(name, none, join, str)
		}),
		"emit-on-close-join-sessions": closedJoin(topology.SessionWindowedCodec(str), func(s topology.GroupedStream[string, string], name string) topology.WindowedTable[string, string] {
			return s.WindowedBySessions(topology.Sessions(5*time.Second)).EmitOnClose().Aggregate(name, none, join, bar, str)
		}),
		"suppress-windows-join": closedJoin(topology.TimeWindowedCodec(str, 5*time.Second), func(s topology.GroupedStream[string, string], name string) topology.WindowedTable[string, string] {
			return s.WindowedBy(topology.Tumbling(5*time.Second).Grace(0)).Aggregate(name, none, join, str).
				Suppress(name+"-final", topology.UntilWindowCloses())
		}),
		"cogroup": {Define: func(b *topology.Builder) { out(gatesAndBags(b).Aggregate("both", none, str).ToStream()) }},
		"windowed-cogroup": {Define: func(b *topology.Builder) {
			out(gatesAndBags(b).WindowedBy(tumbling).Aggregate("both", none, str).ToStream(inWindow))
		}},
		"sliding-cogroup": {Define: func(b *topology.Builder) {
			out(gatesAndBags(b).WindowedBy(sliding).Aggregate("both", none, str).ToStream(inWindow))
		}},
		"session-cogroup": {Define: func(b *topology.Builder) {
			out(gatesAndBags(b).WindowedBySessions(sessions).Aggregate("both", none, bar, str).ToStream(inWindow))
		}},
		"windowed-table": {Define: func(b *topology.Builder) {
			early := func(_ string, w state.Window, _ int64) bool { return w.Start < 20_000 }
			even := func(_ string, _ state.Window, n int64) bool { return n%2 == 0 }
			counted := grouped(b).WindowedBy(tumbling).Count("flights-by-carrier").Filter(early)
			out(counted.MapValues(decimal).ToStream(inWindow))
			counted.Filter(even).ToStream(inWindow).To("even", str, codecs.Int64)
		}, Formats: map[string]topologytest.Format{"flights-by-carrier": number, "even": number}},
		"keyed-by-window": {Define: func(b *topology.Builder) {
			codec := topology.TimeWindowedCodec(str, 10*time.Second)
			counted := grouped(b).WindowedBy(tumbling).Count("flights-by-carrier")
			odd := counted.Filter(func(_ string, _ state.Window, n int64) bool { return n%2 == 1 }).MapValues(decimal)
			topology.KeyedByWindow(counted).ToStream().To("counts", codec, codecs.Int64)
			topology.Source(b, "questions", codec, str).JoinTable(topology.KeyedByWindow(odd), withAirline).To("answers", codec, str)
		}, Formats: map[string]topologytest.Format{
			"flights-by-carrier": number,
			"counts":             {Key: windowText(topology.TimeWindowedCodec(str, 10*time.Second)), Value: topologytest.TextOf(codecs.Int64)},
			"answers":            {Key: windowText(topology.TimeWindowedCodec(str, 10*time.Second))},
			"questions":          {Key: windowText(topology.TimeWindowedCodec(str, 10*time.Second))},
		}},
		"keyed-by-session": {Define: func(b *topology.Builder) {
			codec := topology.SessionWindowedCodec(str)
			joined := topology.KeyedByWindow(grouped(b).WindowedBySessions(sessions).Aggregate("gates", none, join, bar, str))
			joined.ToStream().To("sessions", codec, str)
			topology.Source(b, "questions", codec, str).JoinTable(joined, withAirline).To("answers", codec, str)
		}, Formats: map[string]topologytest.Format{
			"sessions":  {Key: windowText(topology.SessionWindowedCodec(str))},
			"answers":   {Key: windowText(topology.SessionWindowedCodec(str))},
			"questions": {Key: windowText(topology.SessionWindowedCodec(str))},
		}},
	}
}

// closedJoin joins the windows of two topics, flights and bags, each of which has one result.
func closedJoin(
	codec codecs.Codec[topology.Windowed[string]],
	windowed func(s topology.GroupedStream[string, string], name string) topology.WindowedTable[string, string],
) topologytest.Scenario {
	return topologytest.Scenario{
		Define: func(b *topology.Builder) {
			bags := topology.Source(b, "bags", codecs.String, codecs.String)
			gates := topology.KeyedByWindow(windowed(flights(b).GroupByKey(), "gates"))
			gates.LeftJoin(topology.KeyedByWindow(windowed(bags.GroupByKey(), "weights")), func(gates string, bags *string) string {
				if bags == nil {
					return gates + " without bags"
				}
				return gates + " with " + *bags
			}).ToStream().To("out", codec, codecs.String)
		},
		Formats: map[string]topologytest.Format{"out": {Key: windowText(codec)}},
	}
}

// gatesAndBags is a cogroup of a stream of texts and one of numbers.
func gatesAndBags(b *topology.Builder) topology.CogroupedStream[string, string] {
	bags := topology.Source(b, "bags", codecs.String, codecs.String).MapValues(func(bag string) int { return len(bag) })
	return flights(b).GroupByKey().
		Cogroup(func(_, gate, both string) string { return join("", gate, both) }).
		Cogroup(bags.GroupByKey(), func(_ string, bag int, both string) string { return join("", decimal(int64(bag)), both) })
}

func plus(all, value string) string { return join("", value, all) }

func bar(_, a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "|" + b
}

// windowText writes windowed keys as key@start/end.
func windowText(codec codecs.Codec[topology.Windowed[string]]) topologytest.Text {
	return windowedText{codec}
}

type windowedText struct {
	codec codecs.Codec[topology.Windowed[string]]
}

func (x windowedText) Encode(text string) ([]byte, error) {
	var w topology.Windowed[string]
	key, span, _ := strings.Cut(text, "@")
	start, end, _ := strings.Cut(span, "/")
	w.Key, w.Window = key, state.Window{Start: number(start), End: number(end)}
	return x.codec.Append([]byte{}, w)
}

func (x windowedText) Print(data []byte) (string, error) {
	w, err := x.codec.Decode(data)
	return inWindow(w.Key, w.Window), err
}

func number(text string) (n int64) {
	for _, digit := range text {
		n = 10*n + int64(digit-'0')
	}
	return n
}
