package topology_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func ExampleInSubTopology() {
	b := topology.NewBuilder("airport")
	flights := topology.Source(b, "flights", codecs.String, codecs.String, topology.InSubTopology("gates"))
	flights.GroupByKey().Count("flights-by-number") // came later: without the name, the group would be called after it
	flights.GroupByKey().Count("gates")
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(top.SubTopologies()[0].Group())
	// Output: airport-gates
}

func TestInSubTopology_namesThePart(t *testing.T) {
	str := codecs.String
	for what, define := range map[string]func(b *topology.Builder){
		"source":    func(b *topology.Builder) { topology.Source(b, "a", str, str, topology.InSubTopology("x")) },
		"table":     func(b *topology.Builder) { topology.TableOf(b, "a", str, str, topology.InSubTopology("x")) },
		"stateless": func(b *topology.Builder) { flights(b).Filter(notCancelled, topology.InSubTopology("x")) },
		"sink":      func(b *topology.Builder) { flights(b).To("out", str, str, topology.InSubTopology("x")) },
		"all say so": func(b *topology.Builder) {
			topology.Source(b, "a", str, str, topology.InSubTopology("x")).Filter(notCancelled, topology.InSubTopology("x"))
		},
	} {
		top := build(t, "app", define)
		require.Equal(t, []string{"x"}, subNames(top), what)
		require.Equal(t, "app-x-table", top.SubTopologies()[0].TableTopic(), what)
	}
	downstream := build(t, "app", func(b *topology.Builder) {
		flights(b).GroupBy("r", carrier, str, str, topology.InSubTopology("x")).Count("n")
	})
	require.Equal(t, []string{"flights", "x"}, subNames(downstream), "a repartition names what is downstream")
}

func TestInSubTopology_refuses(t *testing.T) {
	str := codecs.String
	for _, c := range []struct {
		define func(b *topology.Builder)
		want   string
	}{
		{
			func(b *topology.Builder) { topology.Source(b, "a", str, str, topology.InSubTopology("")) },
			`source: sub-topology name is empty; choose one, it becomes part of the names of topics and stores`,
		},
		{
			func(b *topology.Builder) {
				flights(b).GroupBy("r", carrier, str, str, topology.InSubTopology("X")).Count("n")
			},
			`source: sub-topology name "X" is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen`,
		},
		{func(b *topology.Builder) {
			topology.Source(b, "a", str, str, topology.InSubTopology("x")).Filter(notCancelled, topology.Named("f"), topology.InSubTopology("y"))
		}, `filter "f": it is in sub-topology "x", as the source at PLACE says, and cannot be in "y"; a repartition between them would make two`},
		{func(b *topology.Builder) {
			topology.Source(b, "a", str, str, topology.InSubTopology("x"))
			topology.Source(b, "b", str, str, topology.InSubTopology("x"))
		}, `sub-topology "x": the one that begins at PLACE has the same name; choose another one with topology.InSubTopology`},
		{func(b *topology.Builder) {
			topology.Source(b, "a", str, str, topology.InSubTopology("n"))
			flights(b).GroupByKey().Count("n")
		}, `sub-topology "n": the one that begins at PLACE has the same name; choose another one with topology.InSubTopology`},
		{
			func(b *topology.Builder) { flights(b).To("app-topology", str, str) },
			`sink: topic "app-topology" is that of the description of the topology, which only the topology itself may use`,
		},
	} {
		b := topology.NewBuilder("app")
		c.define(b)
		_, err := b.Build()
		require.Error(t, err, c.want)
		places := regexp.MustCompile(`topology/\w+_test\.go:\d+`)
		require.Regexp(t, `^topology/insubtopology_test\.go:\d+: |^topology/scripts_test\.go:\d+: `, err.Error())
		require.Equal(t, "PLACE: "+c.want, places.ReplaceAllString(err.Error(), "PLACE"))
	}
}
