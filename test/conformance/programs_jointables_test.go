package conformance_test

import (
	"maps"

	"github.com/seed84377926/millrace/topology"
)

// joinTablePrograms returns the programs of join_tables.json by the name of their case.
func joinTablePrograms() map[string]program {
	all := map[string]program{
		"StreamTableJoinIntegrationTest/testInner": func(b *topology.Builder) {
			out(source(b, "a").JoinTable(tableOf(b, "b", "right"), dashed))
		},
	}
	maps.Copy(all, tableTablePrograms())
	maps.Copy(all, streamStreamPrograms())
	return all
}

// docPrograms returns the programs of doc_tables.json by the name of the table and the column.
func docPrograms() map[string]program {
	all := map[string]program{
		"stream_table/(INNER) JOIN": func(b *topology.Builder) {
			out(source(b, "a").JoinTable(tableOf(b, "b", "right"), bracketed))
		},
	}
	maps.Copy(all, docTablePrograms())
	maps.Copy(all, docStreamPrograms())
	return all
}

// dashed is how upstream's tests write a joined value.
func dashed(left, right string) string { return left + "-" + right }

// bracketed is how upstream's documentation writes a joined value.
func bracketed(left, right string) string { return "[" + left + ", " + right + "]" }
