package conformance_test

import (
	"time"

	"github.com/seed84377926/millrace/topology"
)

func suppressPrograms() map[string]program {
	suppressed := func(until topology.Suppression) program {
		return func(b *topology.Builder) { outTable(tableOf(b, "a", "s").Suppress("suppressed", until)) }
	}
	return map[string]program{
		"suppress-time-limit":      suppressed(topology.UntilTimeLimit(6 * time.Second).MaxRecords(1000)),
		"suppress-early-when-full": suppressed(topology.UntilTimeLimit(time.Minute).MaxRecords(2)),
		"suppress-zero-limit":      suppressed(topology.UntilTimeLimit(0)),
	}
}
