package topology_test

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// All mistakes come at once, each with its place.
func ExampleBuilder_Build() {
	b := topology.NewBuilder("airport")
	flights := topology.Source(b, "flights", codecs.String, codecs.String)
	flights.Filter(nil)
	flights.GroupByKey().Count("by carrier")
	_, err := b.Build()
	fmt.Println(err)
	// Output:
	// topology/example_build_test.go:14: filter: the function is nil
	// topology/example_build_test.go:15: count "by carrier": name "by carrier" is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen
}
