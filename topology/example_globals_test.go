package topology_test

import (
	"context"
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

// A processor reads any row, here those of both ends of a transfer.
func ExampleGlobalTable_In() {
	run(func(b *topology.Builder) {
		airlines := topology.GlobalTableOf(b, "airlines", codecs.String, codecs.String)
		topology.Source(b, "transfers", codecs.String, codecs.String).
			ProcessValues("names", func(p *topology.ValuesContext[string]) (topology.Processor[string, string], error) {
				names := airlines.In(p)
				return func(_ context.Context, r topology.Record[string, string]) error {
					from, to, _ := strings.Cut(r.Value, ">")
					first, _, _, err := names.Get(from)
					if err != nil {
						return err
					}
					second, _, known, err := names.Get(to)
					if known {
						p.Forward(first + " to " + second)
					}
					return err
				}, nil
			}).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "airlines KL KLM", "airlines LH Lufthansa", "transfers bag1 KL>LH", "transfers bag2 KL>BA")
	// Output:
	// bag1 -> KLM to Lufthansa @3000
}
