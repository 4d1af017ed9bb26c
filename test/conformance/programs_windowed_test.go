package conformance_test

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func windowPrograms() map[string]program {
	tumbling := topology.Tumbling(10 * time.Second).Grace(5 * time.Second)
	return map[string]program{
		"tumbling-aggregate-update": func(b *topology.Builder) {
			outWindows(source(b, "a").GroupByKey().WindowedBy(tumbling).Aggregate("w", none, add, codecs.String))
		},
		"tumbling-count-null-values": func(b *topology.Builder) {
			out(source(b, "a").GroupByKey().WindowedBy(tumbling).Count("w").ToStream(inWindow).MapValues(str))
		},
	}
}
