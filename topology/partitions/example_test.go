package partitions_test

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/partitions"
)

// The repartition topic has no number of its own: it follows the group that writes to it.
func ExampleSizes_Derive() {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).
		GroupBy("by-gate", func(_, gate string) string { return gate }, codecs.String, codecs.String).
		Count("flights-by-gate")
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	sizes := partitions.Sizes{Topics: map[string]int32{"flights": 6}, Groups: make(map[string]int32)}
	sizes.Derive(top.SubTopologies())
	fmt.Println("partitions:", sizes.Topics["airport-by-gate-repartition"])
	fmt.Println("tasks:", sizes.Groups["airport-flights-by-gate"])
	// Output:
	// partitions: 6
	// tasks: 6
}
