package conformance_test

import (
	"maps"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// joinTablePrograms returns the programs of join_tables.json by the name of their case.
func joinTablePrograms() map[string]program {
	all := streamTablePrograms()
	maps.Copy(all, tableTablePrograms())
	maps.Copy(all, streamStreamPrograms())
	return all
}

// docPrograms returns the programs of doc_tables.json by the name of the table and the column. grace is the grace of
// the join of two streams.
func docPrograms(grace time.Duration) map[string]program {
	all := map[string]program{
		"fk_table_table/(INNER) JOIN": func(b *topology.Builder) {
			outTable(tableOf(b, "a", "left").JoinForeign("fk", tableOf(b, "b", "right"), docForeignKey, commaed, codecs.String))
		},
		"fk_table_table/LEFT JOIN": func(b *topology.Builder) {
			outTable(tableOf(b, "a", "left").LeftJoinForeign("fk", tableOf(b, "b", "right"), docForeignKey, commaedIfAny, codecs.String))
		},
	}
	maps.Copy(all, docTablePrograms())
	maps.Copy(all, docStreamPrograms(grace))
	return all
}

// dashed is how upstream's tests write a joined value.
func dashed(left, right string) string { return left + "-" + right }

// bracketed is how upstream's documentation writes a joined value.
func bracketed(left, right string) string { return "[" + left + ", " + right + "]" }

// docForeignKey finds the foreign key in the documentation's rows, which are nothing else.
func docForeignKey(_, value string) (key string, ok bool) { return value, value != "null" }

// commaed is how upstream's documentation writes what a foreign-key join makes of a row.
func commaed(left, right string) string { return left + "," + right }

func commaedIfAny(left string, right *string) string {
	if right == nil {
		return commaed(left, "null")
	}
	return commaed(left, *right)
}
