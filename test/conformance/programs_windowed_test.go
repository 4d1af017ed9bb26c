package conformance_test

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func windowPrograms() map[string]program {
	tumbling := topology.Tumbling(10 * time.Second).Grace(5 * time.Second)
	hopping := topology.Hopping(10*time.Second, 3*time.Second).Grace(4 * time.Second)
	sliding := topology.Sliding(6 * time.Second).Grace(5 * time.Second)
	sessions := topology.Sessions(4 * time.Second).Grace(5 * time.Second)
	// Kafka Streams loses windows that it does not retain any more when they close, which we do only if told to.
	lossy := topology.WithinRetention()
	all := map[string]program{
		"session-aggregate-update": func(b *topology.Builder) {
			outWindows(source(b, "a").GroupByKey().WindowedBySessions(sessions).Aggregate("w", none, add, merge, codecs.String))
		},
		"session-aggregate-close": func(b *topology.Builder) {
			outWindows(source(b, "a").GroupByKey().WindowedBySessions(sessions).EmitOnClose(lossy).
				Aggregate("w", none, add, merge, codecs.String))
		},
		"tumbling-count-null-values": func(b *topology.Builder) {
			out(source(b, "a").GroupByKey().WindowedBy(tumbling).Count("w").ToStream(inWindow).MapValues(str))
		},
		"tumbling-nograce-reduce": func(b *topology.Builder) {
			outWindows(source(b, "a").GroupByKey().WindowedBy(topology.Tumbling(10*time.Second)).Reduce("w", cat, codecs.String))
		},
		"window-cogroup": func(b *topology.Builder) {
			outWindows(cogrouped(b).WindowedBy(tumbling).Aggregate("w", none, codecs.String))
		},
		"session-cogroup": func(b *topology.Builder) {
			outWindows(cogrouped(b).WindowedBySessions(sessions).Aggregate("w", none, merge, codecs.String))
		},
	}
	for kind, windows := range map[string]topology.Windows{"tumbling": tumbling, "hopping": hopping, "sliding": sliding} {
		all[kind+"-aggregate-update"] = func(b *topology.Builder) {
			outWindows(source(b, "a").GroupByKey().WindowedBy(windows).Aggregate("w", none, add, codecs.String))
		}
		all[kind+"-aggregate-close"] = func(b *topology.Builder) {
			outWindows(source(b, "a").GroupByKey().WindowedBy(windows).EmitOnClose(lossy).
				Aggregate("w", none, add, codecs.String))
		}
	}
	return all
}

// merge joins the aggregates of two sessions.
func merge(_, a, b string) string {
	switch {
	case a == "":
		return b
	case b == "":
		return a
	default:
		return a + "|" + b
	}
}
