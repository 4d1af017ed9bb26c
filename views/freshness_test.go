package views

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

func at(topic string, partition int32) state.TopicPartition {
	return state.TopicPartition{Topic: topic, Partition: partition}
}

func direct(offsets state.Offsets) state.Position         { return state.Position{Direct: offsets} }
func derived(offsets state.Offsets) state.Position        { return state.Position{Derived: offsets} }
func need(tp state.TopicPartition, n int64) state.Offsets { return state.Offsets{tp: n} }

// expired returns a context that has ended, so that wait answers at once.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func follow(t *testing.T, partitions int32, refs []state.TableRef) *freshness {
	t.Helper()
	f, err := newFreshness(partitions, refs)
	require.NoError(t, err)
	return f
}

func TestFreshness_directTopicIsInItsOwnPartition(t *testing.T) {
	f := follow(t, 2, []state.TableRef{{Direct: []string{"events"}}})
	f.advance(1, direct(state.Offsets{at("events", 1): 10}))

	require.NoError(t, f.wait(t.Context(), need(at("events", 1), 10)))
	var behind *BehindError
	require.ErrorAs(t, f.wait(expired(t), need(at("events", 1), 11)), &behind)
	require.Equal(t, state.Offsets{at("events", 1): 10}, behind.Current)
	require.ErrorContains(t, behind, "reflects events/1 up to offset 10, 11 is required")
	require.Error(t, f.wait(expired(t), need(at("events", 0), 1)), "nothing is known of partition 0")
}

// What comes through a repartition topic may be in any partition, so all of them must have heard of it.
func TestFreshness_derivedTopicNeedsEveryPartition(t *testing.T) {
	f := follow(t, 2, []state.TableRef{{Derived: []string{"events"}}})
	f.advance(0, derived(state.Offsets{at("events", 3): 10}))
	require.Error(t, f.wait(expired(t), need(at("events", 3), 5)), "partition 1 has not heard of it")
	require.Empty(t, f.position())

	f.advance(1, derived(state.Offsets{at("events", 3): 7}))
	require.NoError(t, f.wait(t.Context(), need(at("events", 3), 7)))
	require.Error(t, f.wait(expired(t), need(at("events", 3), 8)), "the slowest counts")
	require.Equal(t, state.Offsets{at("events", 3): 7}, f.position())
}

func TestFreshness_topicThatNeverReachesTheViewIsPassedOver(t *testing.T) {
	f := follow(t, 1, []state.TableRef{{Direct: []string{"events"}}})
	require.NoError(t, f.wait(t.Context(), need(at("other", 0), 99)))
}

// A topic that matches counts before anything is known of it.
func TestFreshness_topicsThatMatchCount(t *testing.T) {
	f := follow(t, 1, []state.TableRef{{DirectMatching: []string{`eu|us\..*`}, DerivedMatching: []string{"all"}}})
	require.NoError(t, f.wait(t.Context(), need(at("eu.events", 0), 1)))
	require.Error(t, f.wait(expired(t), need(at("us.events", 0), 1)))
	require.Error(t, f.wait(expired(t), need(at("all", 0), 1)))
	f.advance(0, state.Position{Direct: state.Offsets{at("us.events", 0): 1}, Derived: state.Offsets{at("all", 0): 1}})
	require.NoError(t, f.wait(t.Context(), need(at("us.events", 0), 1)))
	require.NoError(t, f.wait(t.Context(), need(at("all", 0), 1)))

	_, err := newFreshness(1, []state.TableRef{{DirectMatching: []string{"("}}})
	require.ErrorContains(t, err, "missing closing )")
}

func TestFreshness_waitersWakeWhenThePositionMoves(t *testing.T) {
	f := follow(t, 1, []state.TableRef{{Direct: []string{"events"}}})
	waiting := make(chan error)
	go func() { waiting <- f.wait(t.Context(), need(at("events", 0), 3)) }()
	for offset := int64(1); offset <= 3; offset++ {
		f.advance(0, direct(state.Offsets{at("events", 0): offset}))
	}
	require.NoError(t, <-waiting)
}

// A table that is joined into a projection is in the same group; a query on the projection must still wait for events.
func TestFreshness_everyStoreOfTheGroupCounts(t *testing.T) {
	f := follow(t, 1, []state.TableRef{{Direct: []string{"airlines"}}, {Direct: []string{"airlines"}, Derived: []string{"events"}}})
	require.Error(t, f.wait(expired(t), need(at("events", 0), 1)))
	f.advance(0, state.Position{Derived: state.Offsets{at("events", 0): 1}})
	require.NoError(t, f.wait(t.Context(), need(at("events", 0), 1)))
}
