package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

func build(tb testing.TB, name string, define func(b *topology.Builder)) *topology.Topology {
	tb.Helper()
	b := topology.NewBuilder(name)
	define(b)
	top, err := b.Build()
	require.NoError(tb, err)
	return top
}

func subNames(top *topology.Topology) []string {
	var names []string
	for _, sub := range top.SubTopologies() {
		names = append(names, sub.Name())
	}
	return names
}

func TestSubTopologies(t *testing.T) {
	top := build(t, "app", airport)
	require.Equal(t, "app", top.Name())
	require.Equal(t, []string{"hourly-flights", "flights", "gate-uses"}, subNames(top))
	hourly, source, gates := top.SubTopologies()[0], top.SubTopologies()[1], top.SubTopologies()[2]

	require.Equal(t, "app-hourly-flights", hourly.Group())
	require.Equal(t, "app-hourly-flights-table", hourly.TableTopic())
	require.Equal(t, []topology.Input{
		{Topic: "airlines", Origins: []string{"airlines"}},
		{
			Topic: "app-flights-by-carrier-repartition", Repartition: true, Partitions: 4,
			Upstream: []string{"app-flights"}, Origins: []string{"flights"},
		},
	}, hourly.Inputs())
	require.Equal(t, []string{"hourly"}, hourly.Outputs())
	require.Equal(t, []state.Spec{
		{Name: "airlines", Kind: state.KeyValueKind},
		{Name: "hourly-flights", Kind: state.WindowKind, WindowSize: time.Hour, Retention: 70 * time.Minute},
		{Name: "stream-times", Kind: state.KeyValueKind},
	}, hourly.Stores())

	require.Equal(t, []topology.Input{{Topic: "flights", Origins: []string{"flights"}}}, source.Inputs())
	require.Equal(t, []string{"app-flights-by-carrier-repartition", "app-by-gate-repartition"}, source.Outputs())
	require.Empty(t, source.Stores())

	require.Equal(t, []topology.Input{{
		Topic: "app-by-gate-repartition", Repartition: true, Upstream: []string{"app-flights"}, Origins: []string{"flights"},
	}}, gates.Inputs())
}

func TestTables(t *testing.T) {
	top := build(t, "app", airport)
	hourly := state.TableRef{
		Group: "app-hourly-flights", Topic: "app-hourly-flights-table",
		Store:  state.Spec{Name: "hourly-flights", Kind: state.WindowKind, WindowSize: time.Hour, Retention: 70 * time.Minute},
		Direct: []string{"airlines"}, Derived: []string{"flights"},
	}
	require.Equal(t, []state.TableRef{
		{
			Group: "app-hourly-flights", Topic: "app-hourly-flights-table",
			Store:  state.Spec{Name: "airlines", Kind: state.KeyValueKind},
			Direct: []string{"airlines"},
		},
		hourly,
		{
			Group: "app-gate-uses", Topic: "app-gate-uses-table",
			Store:   state.Spec{Name: "gate-uses", Kind: state.KeyValueKind},
			Derived: []string{"flights"},
		},
	}, top.Tables())

	ref, ok := top.Table("hourly-flights")
	require.True(t, ok)
	require.Equal(t, hourly, ref)
	_, ok = top.Table("stream-times")
	require.False(t, ok, "a task's own store is not for views")
}

// The slices that a topology returns are the caller's: changing them does not change the topology.
func TestTopology_isImmutable(t *testing.T) {
	top := build(t, "app", airport)
	top.Tables()[1].Direct[0] = "?"
	top.SubTopologies()[0] = nil
	sub := top.SubTopologies()[0]
	sub.Inputs()[1].Upstream[0] = "?"
	sub.Inputs()[1].Origins[0] = "?"
	sub.Outputs()[0] = "?"
	sub.Stores()[0].Name = "?"

	again := build(t, "app", airport)
	require.Equal(t, again.Tables(), top.Tables())
	require.Equal(t, again.SubTopologies()[0].Inputs(), sub.Inputs())
	require.Equal(t, again.SubTopologies()[0].Outputs(), sub.Outputs())
	require.Equal(t, again.SubTopologies()[0].Stores(), sub.Stores())
}

// Sub-topologies are what arrows and shared stores connect.
func TestCut(t *testing.T) {
	str := codecs.String
	for _, c := range []struct {
		name   string
		define func(b *topology.Builder)
		want   []string
	}{
		{"two sources that never meet", func(b *topology.Builder) {
			flights(b).To("a", str, str)
			topology.Source(b, "planes", str, str).To("a", str, str)
		}, []string{"flights", "planes"}},
		{"joined through the store of a table", func(b *topology.Builder) {
			s := flights(b)
			s.JoinTable(topology.TableOf(b, "airlines", str, str), withAirline)
		}, []string{"flights"}},
		{"a table that was given a name counts as stateful", func(b *topology.Builder) {
			s := flights(b)
			s.JoinTable(topology.TableOf(b, "airport.airlines", str, str, topology.Named("airlines")), withAirline)
		}, []string{"airlines"}},
		{"the first stateful operator names it, wherever the sources are", func(b *topology.Builder) {
			g := flights(b).Filter(notCancelled, topology.Named("first")).GroupByKey()
			g.Count("second")
			g.Aggregate("third", none, join, str)
		}, []string{"second"}},
		{"a repartition without state behind it", func(b *topology.Builder) {
			flights(b).Rekey(carrier).Repartition("by-carrier", str, str).To("out", str, str)
		}, []string{"flights", "by-carrier"}},
		{"a repartition that comes back to the same store", func(b *topology.Builder) {
			s := flights(b)
			last := s.GroupByKey().Aggregate("last", none, join, str)
			s.Rekey(carrier).Repartition("by-carrier", str, str).JoinTable(last, withAirline).To("out", str, str)
		}, []string{"last"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, subNames(build(t, "app", c.define))) })
	}
}

// A topic can reach a store directly and through a repartition; one that only comes by another branch does not reach
// it.
func TestOrigins(t *testing.T) {
	str := codecs.String
	top := build(t, "app", func(b *topology.Builder) {
		s := flights(b)
		last := s.GroupByKey().Aggregate("last", none, join, str)
		s.Rekey(carrier).Repartition("by-carrier", str, str).
			JoinTable(last, withAirline).
			GroupByKey().Count("joined")
		gates := topology.TableOf(b, "gates", str, str)
		s.JoinTable(gates, withAirline).GroupBy("again", carrier, str, str).Count("both")
	})
	require.Equal(t, []string{"last", "both"}, subNames(top))
	inputs := top.SubTopologies()[0].Inputs()
	require.Equal(t, []string{"app-last"}, inputs[1].Upstream, "a sub-topology may feed itself")
	reach := func(store string) [2][]string {
		ref, ok := top.Table(store)
		require.True(t, ok)
		return [2][]string{ref.Direct, ref.Derived}
	}
	require.Equal(t, [2][]string{{"flights"}, nil}, reach("last"))
	require.Equal(t, [2][]string{{"flights"}, {"flights"}}, reach("joined"))
	require.Equal(t, [2][]string{nil, {"flights", "gates"}}, reach("both"))
	require.Equal(t, []string{"flights", "gates"}, top.SubTopologies()[1].Inputs()[0].Origins)
}

// Operators that keep no state can be added anywhere without renaming anything that Kafka knows.
func TestNames_doNotDependOnPosition(t *testing.T) {
	names := func(define func(b *topology.Builder)) []any {
		var out []any
		for _, sub := range build(t, "app", define).SubTopologies() {
			out = append(out, sub.Group(), sub.TableTopic(), sub.Stores(), sub.Inputs(), sub.Outputs())
		}
		return out
	}
	before := names(func(b *topology.Builder) {
		flights(b).GroupBy("g", carrier, codecs.String, codecs.String).Count("n").ToStream().To("out", codecs.String, codecs.Int64)
	})
	after := names(func(b *topology.Builder) {
		flights(b).Filter(notCancelled).Filter(notCancelled).
			GroupBy("g", carrier, codecs.String, codecs.String).Count("n").
			ToStream().Filter(func(string, int64) bool { return true }).To("out", codecs.String, codecs.Int64)
	})
	require.Equal(t, before, after)
}

// Names that the builder makes up avoid the names that the user chose.
func TestNames_ofTheUserComeFirst(t *testing.T) {
	top := build(t, "app", func(b *topology.Builder) {
		s := flights(b)
		s.Filter(notCancelled)
		s.Filter(notCancelled, topology.Named("filter-1"))
		s.To("out", codecs.String, codecs.String)
		s.To("out", codecs.String, codecs.String)
	})
	require.Contains(t, top.Describe(), "--> filter-1-2, filter-1, sink-out, sink-out-2\n")
}
