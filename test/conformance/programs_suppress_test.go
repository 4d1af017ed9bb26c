package conformance_test

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func suppressPrograms() map[string]program {
	suppressed := func(until topology.Suppression) program {
		return func(b *topology.Builder) { outTable(tableOf(b, "a", "s").Suppress("suppressed", until)) }
	}
	final := func(windows topology.Windows) program {
		return func(b *topology.Builder) {
			outWindows(source(b, "a").GroupByKey().WindowedBy(windows).Aggregate("w", none, add, codecs.String).
				Suppress("suppressed", topology.UntilWindowCloses()))
		}
	}
	return map[string]program{
		"suppress-tumbling": final(topology.Tumbling(10 * time.Second).Grace(5 * time.Second)),
		"suppress-hopping":  final(topology.Hopping(10*time.Second, 5*time.Second).Grace(4 * time.Second)),
		"suppress-session": func(b *topology.Builder) {
			outWindows(source(b, "a").GroupByKey().WindowedBySessions(topology.Sessions(4*time.Second).Grace(5*time.Second)).
				Aggregate("w", none, add, merge, codecs.String).Suppress("suppressed", topology.UntilWindowCloses()))
		},
		"suppress-time-limit":      suppressed(topology.UntilTimeLimit(6 * time.Second).MaxRecords(1000)),
		"suppress-early-when-full": suppressed(topology.UntilTimeLimit(time.Minute).MaxRecords(2)),
		"suppress-zero-limit":      suppressed(topology.UntilTimeLimit(0)),
	}
}
