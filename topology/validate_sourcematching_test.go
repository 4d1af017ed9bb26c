package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

func ExampleSourceMatching() {
	run(func(b *topology.Builder) {
		topology.SourceMatching(b, "all-gates", `gates-.*`, codecs.String, codecs.String).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "gates-east KL1001 D1", "gates-west LH400 B7")
	// Output:
	// KL1001 -> D1 @1000
	// LH400 -> B7 @2000
}

func matching(b *topology.Builder, name, expression string) topology.Stream[string, string] {
	return topology.SourceMatching(b, name, expression, codecs.String, codecs.String)
}

func TestSourceMatching_refuses(t *testing.T) {
	testRefusals(t, []refusal{
		{name: "bad arguments", define: func(b *topology.Builder) {
			topology.SourceMatching[string, string](b, "", "(", nil, nil)
			matching(b, "empty", "")
		}, want: []string{
			`source-matching "": name is empty; choose one, it becomes part of the names of topics and stores`,
			"source-matching \"\": error parsing regexp: missing closing ): `^(?:()$`",
			`source-matching "": the key codec is nil`,
			`source-matching "": the value codec is nil`,
			`source-matching "empty": the regular expression is empty`,
		}},
		{name: "topics that are read by name", define: func(b *topology.Builder) {
			matching(b, "all", "flights|air.*")
			flights(b)
			airlinesOf(b)
		}, want: []string{
			`source-matching "all": topic "flights" matches, which is read at PLACE already; narrow the expression down`,
			`source-matching "all": topic "airlines" matches, which is read at PLACE already; narrow the expression down`,
		}},
	})
}

func TestResolve_findsTheInputsAndKeepsTheFingerprint(t *testing.T) {
	top := build(t, "app", func(b *topology.Builder) {
		matching(b, "all", "f.*|app-.*|__.*").GroupBy("by-gate", func(_, v string) string { return v }, codecs.String, codecs.String).
			Count("gates")
		matching(b, "others", "[fg].*x").GroupByKey().Count("others-count")
	})
	sub := top.SubTopologies()[0]
	require.Equal(t, "all", sub.Name())
	require.Equal(t, "f.*|app-.*|__.*", sub.Inputs()[0].Pattern)
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	_, err = sub.NewTask(engine.TaskConfig{State: part, Sink: noSink{}})
	require.ErrorContains(t, err, "call Topology.Resolve first")

	resolved, err := top.Resolve([]string{"f2", "f1", "e1", "gx", "app-gates-table", "app-topology", "app-old-repartition", "__consumer_offsets", "f1"})
	require.NoError(t, err)
	var topics []string
	for _, in := range resolved.SubTopologies()[0].Inputs() {
		require.Empty(t, in.Pattern)
		require.Equal(t, []string{in.Topic}, in.Origins)
		topics = append(topics, in.Topic)
	}
	require.Equal(t, []string{"f1", "f2"}, topics)
	table, _ := resolved.Table("gates")
	require.Equal(t, []string{"f1", "f2"}, table.Derived)
	require.Equal(t, []string{"f1", "f2"}, resolved.SubTopologies()[1].Inputs()[0].Origins)
	require.Equal(t, top.Fingerprint(), resolved.Fingerprint())
	require.Equal(t, top.Describe(), resolved.Describe())
	require.Equal(t, sub.Fingerprint(), resolved.SubTopologies()[0].Fingerprint())

	for topic, matches := range map[string]bool{"f9": true, "e1": false, "app-gates-table": false, "__consumer_offsets": false} {
		require.Equal(t, matches, resolved.SubTopologies()[0].Matches(topic), topic)
		require.Equal(t, matches, sub.Matches(topic), topic)
	}
	require.False(t, resolved.SubTopologies()[1].Matches("f9"), "it comes through a repartition topic")
	for _, top := range []*topology.Topology{top, resolved} {
		table, _ := top.Table("gates")
		require.Equal(t, []string{"f.*|app-.*|__.*"}, table.DerivedMatching)
		require.Empty(t, table.DirectMatching)
		table, _ = top.Table("others-count")
		require.Equal(t, []string{"[fg].*x"}, table.DirectMatching)
	}

	again, err := resolved.Resolve([]string{"f3"})
	require.NoError(t, err)
	require.Equal(t, "f3", again.SubTopologies()[0].Inputs()[0].Topic)
	_, err = top.Resolve([]string{"fax"})
	require.ErrorContains(t, err, `topic "fax" matches the source-matching "all" at`)

	plain := build(t, "app", func(b *topology.Builder) { out(flights(b)) })
	same, err := plain.Resolve([]string{"x"})
	require.NoError(t, err)
	require.Same(t, plain, same)
}

func TestResolve_joinedTopicsMustBePartitionedAlike(t *testing.T) {
	top := build(t, "app", func(b *topology.Builder) {
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
		out(matching(b, "all", "f.*").JoinTable(airlines, withAirline))
	})
	resolved, err := top.Resolve([]string{"f2", "f1"})
	require.NoError(t, err)
	sub := resolved.SubTopologies()[0]
	require.Equal(t, []string{"airlines", "f1", "f2"}, sub.Copartitions()[0].Topics)
	require.Equal(t, []string{"airlines", "f1", "f2"}, sub.Feeding("out"))
}
