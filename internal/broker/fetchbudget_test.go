package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Feeds share one half of the budget in equal parts, within what makes sense; answers share the other.
func TestFetchBudget(t *testing.T) {
	const mib = 1 << 20
	b := NewFetchBudget(64*mib, 16, 2)
	require.EqualValues(t, 64*mib/2/fetchGrowth/16, b.perPartition)
	require.EqualValues(t, 64*mib/2/fetchGrowth/2, b.perAnswer)
	require.EqualValues(t, maxFeed, b.feedHigh(), "no feed yet")
	b.feeds.Add(16)
	require.EqualValues(t, 2*mib, b.feedHigh())
	b.feeds.Add(1000)
	require.EqualValues(t, minFeed, b.feedHigh())

	least := NewFetchBudget(0, 100, 10)
	require.EqualValues(t, minPartitionFetch, least.perPartition)
	require.EqualValues(t, minFetch, least.perAnswer)
	require.EqualValues(t, maxPartitionFetch, NewFetchBudget(1<<40, 1, 1).perPartition)
	require.EqualValues(t, maxFetch, NewFetchBudget(1<<40, 1, 1).perAnswer)
}

// What a feed holds counts in the budget until it is taken or the feed is closed; a feed over its part is paused and
// goes on when it is nearly empty.
func TestFeed_countsInItsBudget(t *testing.T) {
	b := NewFetchBudget(4*minFeed, 1, 1)
	f := &Fetcher{budget: b}
	feed := f.Add("topic", 0, 0, nil)
	batch := func(offset int64) []*kgo.Record {
		return []*kgo.Record{{Offset: offset, Value: make([]byte, minFeed)}}
	}
	require.EqualValues(t, 2*minFeed, b.feedHigh())
	require.False(t, feed.put(batch(0)))
	require.True(t, feed.put(batch(1)), "paused")
	require.EqualValues(t, 2*(minFeed+recordOverhead), b.Used())
	for range 2 {
		_, ok, err := feed.Take()
		require.NoError(t, err)
		require.True(t, ok)
	}
	require.Zero(t, b.Used())
	require.False(t, feed.mu.paused, "resumed")
	require.False(t, feed.put(batch(2)))
	feed.Close()
	feed.Close()
	require.Zero(t, b.Used())
	require.Zero(t, b.feeds.Load())
}
