package conformance_test

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func joinPrograms() map[string]program {
	return map[string]program{
		"stream-table-inner": func(b *topology.Builder) {
			rows := topology.TableOf(b, "b", codecs.String, codecs.String, topology.Named("r"))
			out(source(b, "a").JoinTable(rows, joined))
		},
	}
}
