package broker

import (
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// FetchBudget is the memory that the fetchers of an instance share for records that were fetched and are not taken yet.
// One half is for the feeds, in equal parts: a partition whose feed is full is paused. The other half is for answers
// that are on their way from the brokers; the requests bound their size.
//
// Both are targets: a broker always answers with one whole batch of each partition, and a batch that is compressed more
// than fourfold takes more than its part when it is decompressed. It is safe for concurrent use.
type FetchBudget struct {
	perPartition int32 // bytes to ask for, for one partition
	perAnswer    int32 // bytes to ask for, in one answer
	feedBytes    int64 // of all feeds together
	feeds        atomic.Int64
	used         atomic.Int64
}

// DefaultFetchBytes is the budget of a fetcher that shares none.
const DefaultFetchBytes = 32 << 20

const (
	// A feed holds between minFeed and maxFeed bytes: with less, each fetch brings hardly any records, and more would
	// only wait.
	minFeed = 64 << 10
	maxFeed = 4 << 20

	minPartitionFetch = 32 << 10
	maxPartitionFetch = 1 << 20
	minFetch          = 256 << 10
	maxFetch          = 50 << 20

	// fetchGrowth is how many times larger records are in memory than in the answer of a broker, because of compression
	// and the structures around short records.
	fetchGrowth = 4
)

// NewFetchBudget returns a budget of bytes for up to the given number of partitions, read by the given number of
// fetchers. Its minimum is [MinFetchBytes].
func NewFetchBudget(bytes int64, partitions, fetchers int) *FetchBudget {
	answers := bytes / 2 / fetchGrowth
	return &FetchBudget{
		perPartition: int32(min(max(answers/int64(max(1, partitions)), minPartitionFetch), maxPartitionFetch)),
		perAnswer:    int32(min(max(answers/int64(max(1, fetchers)), minFetch), maxFetch)),
		feedBytes:    bytes / 2,
	}
}

// MinFetchBytes returns the smallest budget for the given number of partitions.
func MinFetchBytes(partitions int) int64 {
	return int64(partitions) * (minFeed + minPartitionFetch*fetchGrowth)
}

// Used returns the bytes of records that wait in feeds.
func (b *FetchBudget) Used() int64 { return b.used.Load() }

// feedHigh is how many bytes a feed may hold before its partition is paused.
func (b *FetchBudget) feedHigh() int64 {
	return min(max(b.feedBytes/max(1, b.feeds.Load()), minFeed), maxFeed)
}

func (b *FetchBudget) options() []kgo.Opt {
	return []kgo.Opt{kgo.FetchMaxBytes(b.perAnswer), kgo.FetchMaxPartitionBytes(b.perPartition)}
}
