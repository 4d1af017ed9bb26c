package processors

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/partitions"
)

// subscriptionOf returns the subscription of an application that started with these topics.
func subscriptionOf(t *testing.T, topics map[string]int32, define func(b *topology.Builder)) subscription {
	t.Helper()
	b := topology.NewBuilder("app")
	define(b)
	top, err := b.Build()
	require.NoError(t, err)
	top, err = top.Resolve(slices.Collect(maps.Keys(topics)))
	require.NoError(t, err)
	sizes := partitions.Sizes{Topics: maps.Clone(topics), Groups: make(map[string]int32)}
	sizes.Derive(top.SubTopologies())
	return subscription{top: top, sizes: sizes}
}

func matching(b *topology.Builder, name, expression string) topology.Stream[string, string] {
	return topology.SourceMatching(b, name, expression, codecs.String, codecs.String)
}

func merged(b *topology.Builder) {
	through(matching(b, "all", `in-.*`).Merge(lines(b, "other")), "again").GroupByKey().Count("counts")
}

// changed returns what changes, and the plans after it by the name of the sub-topology.
func changed(t *testing.T, s subscription, now map[string]int32) (subscriptionChange, map[string]*groupPlan) {
	t.Helper()
	change := s.next(now)
	plans := make(map[string]*groupPlan)
	for _, p := range planGroups(change.to.top.SubTopologies(), change.to.sizes) {
		plans[p.sub.Name()] = p
	}
	return change, plans
}

func TestReading_topicsComeAndGo(t *testing.T) {
	r := subscriptionOf(t, map[string]int32{"in-a": 2, "other": 4}, merged)
	change, before := changed(t, r, map[string]int32{"in-a": 2, "other": 4, "unread": 9, "app-again-repartition": 4})
	require.Empty(t, change.added)
	require.Empty(t, change.removed)
	require.Empty(t, change.refused)

	change, plans := changed(t, r, map[string]int32{"in-a": 2, "other": 4, "in-c": 4, "in-b": 1, "in-later": 0})
	require.Equal(t, []string{"in-b", "in-c"}, change.added)
	require.Equal(t, []string{"in-a", "in-b", "in-c", "other"}, plans["all"].topics())
	require.Equal(t, []string{"in-a", "in-c", "other"}, plans["all"].topicsOf(1))
	require.Equal(t, int32(4), plans["all"].partitions)
	require.Equal(t, []string{"in-a", "in-b", "in-c", "other"}, plans["counts"].inputs[0].Origins)
	require.Equal(t, map[string]bool{"in-a": true, "in-b": true, "in-c": true, "other": true},
		plans["counts"].upstreamDirect["app-again-repartition"])
	require.False(t, plans["all"].sameInputs(before["all"]))
	require.False(t, plans["counts"].sameInputs(before["counts"]), "it must know what comes through its repartition topic")
	require.Equal(t, before["all"].sub.Fingerprint(), plans["all"].sub.Fingerprint())
	require.NotContains(t, r.sizes.Topics, "in-b", "what was read before is not touched")

	change, plans = changed(t, change.to, map[string]int32{"other": 4, "in-c": 4, "in-b": 1})
	require.Equal(t, []string{"in-a"}, change.removed)
	require.Empty(t, change.added)
	require.Equal(t, []string{"in-b", "in-c", "other"}, plans["all"].topics())
	require.NotContains(t, change.to.sizes.Topics, "in-a")

	// It comes back as another one.
	change, _ = changed(t, change.to, map[string]int32{"other": 4, "in-c": 4, "in-b": 1, "in-a": 3})
	require.Equal(t, []string{"in-a"}, change.added)
	require.Equal(t, int32(3), change.to.sizes.Topics["in-a"])
}

// Existing groups keep their sizes, even if the largest topic goes, or all topics do.
func TestReading_sizesStay(t *testing.T) {
	r := subscriptionOf(t, map[string]int32{"in-a": 2, "in-b": 5}, func(b *topology.Builder) {
		through(matching(b, "all", `in-.*`), "again").GroupByKey().Count("counts")
	})
	change, plans := changed(t, r, map[string]int32{"in-a": 2})
	require.Equal(t, int32(5), plans["all"].partitions)
	require.Equal(t, int32(5), plans["all"].outputs["app-again-repartition"])
	require.Equal(t, int32(5), plans["counts"].upstreamTasks["app-again-repartition"])
	require.Empty(t, plans["all"].topicsOf(3))

	change, plans = changed(t, change.to, nil)
	require.Equal(t, []string{"in-a"}, change.removed)
	require.Empty(t, plans["all"].topics())
	require.Empty(t, plans["counts"].inputs[0].Origins)

	change, plans = changed(t, change.to, map[string]int32{"in-c": 5, "in-d": 6})
	require.Equal(t, []string{"in-c"}, plans["all"].topics())
	require.EqualError(t, change.refused["in-d"], "it has 6 partitions, and the state of group app-all has a place for 5: equal keys would "+
		"be in other partitions; delete it and create it with at most 5 partitions, or narrow the expression of the source down")
}

// A topic that does not fit is refused, and does not affect other topics that come with it.
func TestReading_topicsThatDoNotFit(t *testing.T) {
	r := subscriptionOf(t, map[string]int32{"in-a": 2, "table": 2}, func(b *topology.Builder) {
		table := topology.TableOf(b, "table", codecs.String, codecs.String)
		matching(b, "all", `in-.*`).JoinTable(table, func(v, w string) string { return v + w }).GroupByKey().Count("counts")
		matching(b, "others", `.*-x`).GroupByKey().Count("others-counts")
	})
	change := r.next(map[string]int32{"in-a": 2, "table": 2, "in-b": 1, "in-c": 2, "in-d": 3, "in-x": 2, "o-x": 7})
	require.Equal(t, []string{"in-c"}, change.added)
	require.Len(t, change.refused, 4)
	for topic, sizes := range map[string]string{
		"in-b": "in-a has 2 partitions, in-b has 1 partitions, table has 2 partitions; ",
		"in-d": "in-a has 2 partitions, in-c has 2 partitions, in-d has 3 partitions, table has 2 partitions; ",
	} {
		require.ErrorContains(t, change.refused[topic], "the inputs of the join-table")
		require.ErrorContains(t, change.refused[topic], "are not co-partitioned: "+sizes)
	}
	require.ErrorContains(t, change.refused["in-x"], "narrow one of the expressions down")
	require.ErrorContains(t, change.refused["o-x"], "it has 7 partitions")
}
