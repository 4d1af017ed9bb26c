package conformance_test

import "github.com/seed84377926/millrace/topology"

func joinPrograms() map[string]program {
	return map[string]program{
		"stream-table-inner": func(b *topology.Builder) {
			out(source(b, "a").JoinTable(tableOf(b, "b", "r"), joined))
		},
	}
}
