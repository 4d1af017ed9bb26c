package partitions_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/partitions"
)

// sized builds a topology and derives what follows from the sizes of its sources.
func sized(t *testing.T, sources map[string]int32, define func(b *topology.Builder)) (*topology.Topology, partitions.Sizes) {
	t.Helper()
	b := topology.NewBuilder("app")
	define(b)
	top, err := b.Build()
	require.NoError(t, err)
	sizes := partitions.Sizes{Topics: sources, Groups: make(map[string]int32)}
	sizes.Derive(top.SubTopologies())
	return top, sizes
}

func same(k, _ string) string { return k }

func lines(b *topology.Builder, topic string) topology.Stream[string, string] {
	return topology.Source(b, topic, codecs.String, codecs.String)
}

func through(s topology.Stream[string, string], name string, opts ...topology.RepartitionOption) topology.Stream[string, string] {
	return s.Rekey(same).Repartition(name, codecs.String, codecs.String, opts...)
}

func TestSizes_mergedInputsMayDiffer(t *testing.T) {
	top, sizes := sized(t, map[string]int32{"a": 2, "b": 5}, func(b *topology.Builder) {
		merged := lines(b, "a").Merge(through(lines(b, "b"), "three", topology.Partitions(3)))
		merged.GroupByKey().Count("counts")
		through(merged, "again").GroupByKey().Count("all")
	})
	require.Equal(t, map[string]int32{"app-counts": 3, "app-b": 5, "app-all": 3}, sizes.Groups)
	require.Equal(t, map[string]int32{"a": 2, "b": 5, "app-three-repartition": 3, "app-again-repartition": 3}, sizes.Topics)
	for _, sub := range top.SubTopologies() {
		require.Empty(t, sizes.Check(sub))
	}
}

func TestSizes_joinedInputsMayNot(t *testing.T) {
	top, sizes := sized(t, map[string]int32{"a": 2, "b": 5, "c": 2}, func(b *topology.Builder) {
		table := topology.TableOf(b, "c", codecs.String, codecs.String)
		join := func(v, w string) string { return v + w }
		lines(b, "a").JoinTable(table, join, topology.Named("fits"))
		lines(b, "b").JoinTable(table, join, topology.Named("fits-not"))
	})
	var got []string
	for _, sub := range top.SubTopologies() {
		for _, err := range sizes.Check(sub) {
			got = append(got, err.Error())
		}
	}
	require.Len(t, got, 1)
	require.Regexp(t, `^sub-topology c: the inputs of the join-table "fits-not" at partitions/partitions_test\.go:\d+ are not co-partitioned: `+
		`b has 5 partitions, c has 2 partitions; recreate one of them, or repartition one of the streams$`, got[0])
}

// A repartition topic has as many partitions as the topics that it is joined with, or else as the sources before it.
func TestSizes_repartitionTopicsFollow(t *testing.T) {
	_, sizes := sized(t, map[string]int32{"a": 6, "b": 3}, func(b *topology.Builder) {
		table := topology.TableOf(b, "b", codecs.String, codecs.String)
		through(lines(b, "a"), "joined").JoinTable(table, func(v, w string) string { return v + w }).GroupByKey().Count("n")
		through(table.ToStream(), "alone").GroupByKey().Count("m")
	})
	require.Equal(t, int32(3), sizes.Topics["app-joined-repartition"])
	require.Equal(t, int32(3), sizes.Topics["app-alone-repartition"])
	require.Equal(t, map[string]int32{"app-a": 6, "app-n": 3, "app-m": 3}, sizes.Groups)
}

// The topics of a foreign-key join do not influence the number of tasks: they have as many partitions as the side that
// reads them, even if the application itself writes that side.
func TestSizes_foreignJoin(t *testing.T) {
	_, sizes := sized(t, map[string]int32{"a": 6, "b": 4, "c": 2}, func(b *topology.Builder) {
		left := through(lines(b, "a"), "left").GroupByKey().Aggregate("lefts", func() string { return "" },
			func(_, v, _ string) string { return v }, codecs.String)
		right := through(lines(b, "b"), "right", topology.Partitions(3)).GroupByKey().Aggregate("rights", func() string { return "" },
			func(_, v, _ string) string { return v }, codecs.String)
		left.JoinForeign("joined", right, func(_, v string) (string, bool) { return v, true },
			func(v, w string) string { return v + w }, codecs.String)
	})
	require.Equal(t, map[string]int32{"app-a": 6, "app-lefts": 6, "app-b": 4, "app-rights": 3}, sizes.Groups)
	require.Equal(t, int32(3), sizes.Topics["app-joined-subscription-registration"])
	require.Equal(t, int32(6), sizes.Topics["app-joined-subscription-response"])
}
