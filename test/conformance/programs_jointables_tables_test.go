package conformance_test

import (
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// tableTablePrograms returns the programs of TableTableJoinIntegrationTest: one join, with both sides, one or none
// versioned, and joins of the result with the right side again.
func tableTablePrograms() map[string]program {
	const test = "TableTableJoinIntegrationTest/test"
	all := make(map[string]program)
	side := func(b *topology.Builder, topic, store string, keepVersions bool) table {
		opts := []topology.TableOption{topology.Named(store)}
		if keepVersions {
			opts = append(opts, topology.Versioned(5*time.Minute))
		}
		return topology.TableOf(b, topic, codecs.String, codecs.String, opts...)
	}
	for kind, join := range tableJoins(dashed) {
		for name, versions := range map[string][2]bool{
			"": {}, "WithVersionedStores": {true, true}, "WithLeftVersionedOnly": {true, false}, "WithRightVersionedOnly": {false, true},
		} {
			all[test+title(kind)+name] = func(b *topology.Builder) {
				outTable(join(side(b, "a", "left", versions[0]), side(b, "b", "right", versions[1])))
			}
		}
		for kind2, join2 := range tableJoins(dashed) {
			all[test+title(kind)+title(kind2)] = func(b *topology.Builder) {
				right := tableOf(b, "b", "right")
				outTable(join2(join(tableOf(b, "a", "left"), right), right).Materialize("result", codecs.String))
			}
		}
	}
	return all
}

func title(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// docTablePrograms returns the programs of the table-table columns of the documentation.
func docTablePrograms() map[string]program {
	all := make(map[string]program)
	for kind, join := range tableJoins(bracketed) {
		column := map[string]string{"inner": "(INNER) JOIN", "left": "LEFT JOIN", "outer": "OUTER JOIN"}[kind]
		all["table_table/"+column] = func(b *topology.Builder) { outTable(join(tableOf(b, "a", "left"), tableOf(b, "b", "right"))) }
	}
	return all
}
