package topology_test

import (
	"fmt"
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// The airline of a flight is in its value, and flights are partitioned by something else.
func ExampleStream_JoinGlobal() {
	run(func(b *topology.Builder) {
		airlines := topology.GlobalTableOf(b, "airlines", codecs.String, codecs.String)
		airline := func(_, flight string) (string, bool) { return flight[:2], true }
		topology.Source(b, "gates", codecs.String, codecs.String).
			JoinGlobal(airlines, airline, func(flight, name string) string { return flight + " of " + name }).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "gates D1 KL1001", "airlines KL KLM", "gates D1 KL1003")
	// Output:
	// D1 -> KL1003 of KLM @3000
}

func ExampleStream_LeftJoinGlobal() {
	run(func(b *topology.Builder) {
		airlines := topology.GlobalTableOf(b, "airlines", codecs.String, codecs.String)
		airline := func(_, flight string) (string, bool) { return strings.CutSuffix(flight, "1001") }
		topology.Source(b, "gates", codecs.String, codecs.String).
			LeftJoinGlobal(airlines, airline, func(flight string, name *string) string {
				if name == nil {
					return flight + " of somebody"
				}
				return fmt.Sprintf("%s of %s", flight, *name)
			}).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "gates D1 KL1001", "airlines KL KLM", "gates D1 KL1001", "gates D2 private")
	// Output:
	// D1 -> KL1001 of somebody @1000
	// D1 -> KL1001 of KLM @3000
	// D2 -> private of somebody @4000
}
