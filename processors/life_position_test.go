package processors

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/partitions"
)

// planned plans the sub-topologies of a topology whose sources have these sizes, by name.
func planned(t *testing.T, sources map[string]int32, define func(b *topology.Builder)) map[string]*groupPlan {
	t.Helper()
	b := topology.NewBuilder("app")
	define(b)
	top, err := b.Build()
	require.NoError(t, err)
	sizes := partitions.Sizes{Topics: sources, Groups: make(map[string]int32)}
	sizes.Derive(top.SubTopologies())
	plans := make(map[string]*groupPlan)
	for _, p := range planGroups(top.SubTopologies(), sizes) {
		plans[p.sub.Name()] = p
	}
	return plans
}

func same(k, _ string) string { return k }

func lines(b *topology.Builder, topic string) topology.Stream[string, string] {
	return topology.Source(b, topic, codecs.String, codecs.String)
}

func through(s topology.Stream[string, string], name string, opts ...topology.RepartitionOption) topology.Stream[string, string] {
	return s.Rekey(same).Repartition(name, codecs.String, codecs.String, opts...)
}

// threeStages plans events ─▶ first ─▶ second ─▶ third, two tasks each.
func threeStages(t *testing.T) map[string]*groupPlan {
	t.Helper()
	plans := planned(t, map[string]int32{"events": 2}, func(b *topology.Builder) {
		stream := lines(b, "events")
		stream.GroupByKey().Count("first")
		for _, stage := range []string{"second", "third"} {
			stream = through(stream, "to-"+stage)
			stream.GroupByKey().Count(stage)
		}
	})
	require.Len(t, plans, 3)
	return plans
}

// deliver gives the sender's marks to the receiver.
func deliver(t *testing.T, receiver *progress, topic string, sender *progress) {
	t.Helper()
	for _, rec := range markRecords(topic, 2, sender.partition, mark{token: sender.mark(topic).Token()}) {
		if rec.Partition == receiver.partition {
			require.True(t, isMark(rec))
			_, err := receiver.recordMark(rec)
			require.NoError(t, err)
		}
	}
	receiver.advance(nil)
}

func tp(topic string, partition int32) state.TopicPartition {
	return state.TopicPartition{Topic: topic, Partition: partition}
}

func TestProgress_positionsReachEveryStageThroughMarks(t *testing.T) {
	plans := threeStages(t)
	stage := func(name string) (tasks [2]*progress) {
		for p := range tasks {
			tasks[p] = newProgress(plans[name], int32(p), state.NewPosition())
		}
		return tasks
	}
	first, second, third := stage("first"), stage("second"), stage("third")
	const toSecond, toThird = "app-to-second-repartition", "app-to-third-repartition"

	first[0].advance([]*input{{topic: "events", next: 10}})
	require.Equal(t, int64(10), first[0].position.Direct[tp("events", 0)])
	first[1].advance([]*input{{topic: "events", next: 20}})

	// events/0 reaches the second stage through the first task alone, so one mark is enough.
	deliver(t, second[0], toSecond, first[0])
	require.Equal(t, map[state.TopicPartition]int64{tp("events", 0): 10}, second[0].position.Derived)
	deliver(t, second[0], toSecond, first[1])
	require.Equal(t, map[state.TopicPartition]int64{tp("events", 0): 10, tp("events", 1): 20}, second[0].position.Derived)

	// It reaches the third through any task of the second: nothing is covered before all have reported, and then the
	// slowest counts.
	deliver(t, third[1], toThird, second[0])
	require.Empty(t, third[1].position.Derived)
	first[0].advance([]*input{{topic: "events", next: 15}})
	deliver(t, second[1], toSecond, first[0])
	deliver(t, third[1], toThird, second[1])
	require.Equal(t, map[state.TopicPartition]int64{tp("events", 0): 10}, third[1].position.Derived)
	deliver(t, second[0], toSecond, first[0])
	deliver(t, third[1], toThird, second[0])
	require.Equal(t, map[state.TopicPartition]int64{tp("events", 0): 15}, third[1].position.Derived)
}

func TestProgress_survivesARestartAndForgetsWhatTheTopologyNoLongerReads(t *testing.T) {
	plans := threeStages(t)
	p := newProgress(plans["second"], 0, state.NewPosition())
	first := newProgress(plans["first"], 1, state.NewPosition())
	first.advance([]*input{{topic: "events", next: 7}})
	deliver(t, p, "app-to-second-repartition", first)
	p.position.Direct[tp("gone", 0)] = 99

	restored, err := state.DecodePosition(p.position.Append(nil))
	require.NoError(t, err)
	again := newProgress(plans["second"], 0, restored)
	again.advance(nil)
	require.Equal(t, map[state.TopicPartition]int64{tp("events", 1): 7}, again.position.Derived)
	require.NotContains(t, again.position.Direct, tp("gone", 0))
}

func TestProgress_brokenMarkIsAnError(t *testing.T) {
	p := newProgress(threeStages(t)["second"], 0, state.NewPosition())
	rec := &kgo.Record{Topic: "t", Partition: 1, Offset: 5, Value: []byte("!"), Headers: []kgo.RecordHeader{{Key: markHeader}}}
	_, err := p.recordMark(rec)
	require.ErrorContains(t, err, `topic "t" partition 1 offset 5`)
}

// Two repartition topics carry the same source: the slower one decides how far it is reflected.
func TestProgress_sourceThatComesTwoWaysNeedsBoth(t *testing.T) {
	plans := planned(t, map[string]int32{"events": 1}, func(b *topology.Builder) {
		events := lines(b, "events")
		left := through(events, "left").GroupByKey().Count("lefts")
		through(events, "right").JoinTable(left, func(v string, _ int64) string { return v }).GroupByKey().Count("rights")
	})
	require.Len(t, plans, 2)
	source, sink := newProgress(plans["events"], 0, state.NewPosition()), newProgress(plans["lefts"], 0, state.NewPosition())
	source.advance([]*input{{topic: "events", next: 5}})
	deliver(t, sink, "app-left-repartition", source)
	require.Empty(t, sink.position.Derived, "nothing is known of the other way")
	source.advance([]*input{{topic: "events", next: 9}})
	deliver(t, sink, "app-right-repartition", source)
	require.Equal(t, map[state.TopicPartition]int64{tp("events", 0): 5}, sink.position.Derived)
}

// foreignJoin plans a foreign-key join: left and right tables with two tasks each, which write to each other.
func foreignJoin(t *testing.T, define func(b *topology.Builder) (left, right topology.Table[string, string])) map[string]*groupPlan {
	t.Helper()
	return planned(t, map[string]int32{"left": 2, "right": 2}, func(b *topology.Builder) {
		left, right := define(b)
		left.LeftJoinForeign("joined", right, func(_, v string) (string, bool) { return v, true },
			func(v string, _ *string) string { return v }, codecs.String)
	})
}

const registration, response = "app-joined-subscription-registration", "app-joined-subscription-response"

// The left side waits for the answers of the right one, and never for its own marks.
func TestProgress_goesRoundAForeignJoin(t *testing.T) {
	plans := foreignJoin(t, func(b *topology.Builder) (left, right topology.Table[string, string]) {
		return topology.TableOf(b, "left", codecs.String, codecs.String), topology.TableOf(b, "right", codecs.String, codecs.String)
	})
	require.Len(t, plans, 2)
	require.Equal(t, []string{"left"}, plans["joined"].feeding[registration])
	require.Equal(t, []string{registration, "right"}, plans["right"].feeding[response])
	var left, right [2]*progress
	for p := range left {
		left[p] = newProgress(plans["joined"], int32(p), state.NewPosition())
		right[p] = newProgress(plans["right"], int32(p), state.NewPosition())
	}
	left[0].advance([]*input{{topic: "left", next: 10}})
	right[0].advance([]*input{{topic: "right", next: 3}})
	right[1].advance([]*input{{topic: "right", next: 4}})
	require.Equal(t, state.Offsets{tp("left", 0): 10}, left[0].mark(registration))

	// Any task of the right side may have the answer to what left/0 has asked.
	deliver(t, right[0], registration, left[0])
	deliver(t, left[0], response, right[0])
	require.Equal(t, map[state.TopicPartition]int64{tp("right", 0): 3}, left[0].position.Derived)
	deliver(t, right[1], registration, left[0])
	deliver(t, left[0], response, right[1])
	require.Equal(t, map[state.TopicPartition]int64{tp("left", 0): 10, tp("right", 0): 3, tp("right", 1): 4}, left[0].position.Derived)
}

// Marks that have not changed are not written, or the two sides would commit for each other for ever.
func TestProgress_aForeignJoinFallsSilent(t *testing.T) {
	plans := foreignJoin(t, func(b *topology.Builder) (left, right topology.Table[string, string]) {
		return topology.TableOf(b, "left", codecs.String, codecs.String), topology.TableOf(b, "right", codecs.String, codecs.String)
	})
	left, right := newProgress(plans["joined"], 0, state.NewPosition()), newProgress(plans["right"], 0, state.NewPosition())
	news := func(p *progress, topic string) bool {
		_, ok := p.changedMark(topic, 0)
		p.committed()
		return ok
	}
	left.advance([]*input{{topic: "left", next: 1}})
	require.True(t, news(left, registration))
	deliver(t, right, registration, left)
	require.True(t, news(right, response))
	deliver(t, left, response, right)
	require.False(t, news(left, registration))
	left.advance([]*input{{topic: "left", next: 2}})
	_, ok := left.changedMark(registration, 0)
	require.True(t, ok)
	_, ok = left.changedMark(registration, 0)
	require.True(t, ok, "the commit failed: the marks are not out")
}

// A table joined with itself: one sub-topology reads both topics that it writes.
func TestProgress_goesRoundAJoinOfATableWithItself(t *testing.T) {
	plans := foreignJoin(t, func(b *topology.Builder) (left, right topology.Table[string, string]) {
		left = topology.TableOf(b, "left", codecs.String, codecs.String)
		return left, left
	})
	require.Len(t, plans, 1)
	require.Equal(t, []string{registration, "left"}, plans["joined"].feeding[response])
	tasks := [2]*progress{newProgress(plans["joined"], 0, state.NewPosition()), newProgress(plans["joined"], 1, state.NewPosition())}
	tasks[0].advance([]*input{{topic: "left", next: 10}})
	tasks[1].advance([]*input{{topic: "left", next: 20}})
	for _, p := range tasks {
		for _, sender := range tasks {
			deliver(t, p, registration, sender)
			require.Empty(t, p.position.Derived, "there is no answer yet")
		}
	}
	deliver(t, tasks[0], response, tasks[0])
	require.Empty(t, tasks[0].position.Derived, "the answer may be at the other task")
	deliver(t, tasks[0], response, tasks[1])
	require.Equal(t, map[state.TopicPartition]int64{tp("left", 0): 10, tp("left", 1): 20}, tasks[0].position.Derived)
}

// A task that has no partition of an input reflects everything that comes through it.
func TestProgress_nothingIsMissingOfAnInputThatIsNotThere(t *testing.T) {
	plans := planned(t, map[string]int32{"a": 2, "b": 3}, func(b *topology.Builder) {
		merged := lines(b, "a").Merge(through(lines(b, "b"), "one", topology.Partitions(1)))
		merged.GroupByKey().Count("counts")
		through(merged, "again").GroupByKey().Count("all")
	})
	first := newProgress(plans["counts"], 0, state.NewPosition())
	second := newProgress(plans["counts"], 1, state.NewPosition())
	all := newProgress(plans["all"], 0, state.NewPosition())
	first.advance([]*input{{topic: "a", next: 4}})
	second.advance([]*input{{topic: "a", next: 5}})
	require.Empty(t, first.position.Derived)
	deliver(t, all, "app-again-repartition", first)
	deliver(t, all, "app-again-repartition", second)
	require.Equal(t, map[state.TopicPartition]int64{tp("a", 0): 4, tp("a", 1): 5}, all.position.Derived)

	source := newProgress(plans["b"], 2, state.NewPosition())
	source.advance([]*input{{topic: "b", next: 7}})
	deliver(t, first, "app-one-repartition", source)
	require.Equal(t, map[state.TopicPartition]int64{tp("b", 2): 7}, first.position.Derived)
	deliver(t, all, "app-again-repartition", first)
	require.Equal(t, map[state.TopicPartition]int64{tp("a", 0): 4, tp("a", 1): 5, tp("b", 2): 7}, all.position.Derived)
}

// While a topic that matches is new, upstream tasks may know it and downstream tasks not yet. Until they know it,
// downstream tasks do not report it, since they cannot tell in how many ways it arrives. When they know it, they report
// it even if no record comes.
func TestProgress_sourcesThatAreNotKnownYet(t *testing.T) {
	r := subscriptionOf(t, map[string]int32{"in-a": 1}, func(b *topology.Builder) {
		all := matching(b, "all", "in-.*")
		through(all, "left").Merge(through(all, "right")).GroupByKey().Count("counts")
	})
	const left, right = "app-left-repartition", "app-right-repartition"
	_, before := changed(t, r, map[string]int32{"in-a": 1})
	_, after := changed(t, r, map[string]int32{"in-a": 1, "in-b": 1})
	source, sink := newProgress(after["all"], 0, state.NewPosition()), newProgress(before["counts"], 0, state.NewPosition())
	source.position.Direct[tp("in-a", 0)], source.position.Direct[tp("in-b", 0)] = 5, 7
	hearOne := func(topic string) {
		_, err := sink.recordMark(markRecords(topic, 1, 0, mark{token: source.mark(topic).Token()})[0])
		require.NoError(t, err)
		sink.advance(nil)
	}
	hearOne(left)
	require.Empty(t, sink.position.Derived)
	hearOne(right)
	require.Equal(t, map[state.TopicPartition]int64{tp("in-a", 0): 5}, sink.position.Derived)
	require.False(t, sink.derivedChanged())

	sink = newProgress(after["counts"], 0, sink.position.Clone())
	require.True(t, sink.derivedChanged(), "its state reflects more than it says")
	sink.advance(nil)
	require.Equal(t, map[state.TopicPartition]int64{tp("in-a", 0): 5, tp("in-b", 0): 7}, sink.position.Derived)
	require.False(t, sink.derivedChanged())
}
