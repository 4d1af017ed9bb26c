package broker

import "github.com/twmb/franz-go/pkg/kgo"

const (
	// DefaultTableBytes bounds what all feeds of a table fetcher hold together with the runs that are made of it, unless
	// it is told otherwise. Each feed has its share, of which feedParts are for what the feed holds and runParts for each of two runs: the one that is
	// gathered and the one that is applied. Larger runs merge more records: a run cannot merge two records that are
	// further apart than it is long.
	DefaultTableBytes = 160 << 20
	feedParts         = 1
	runParts          = 2
	allParts          = feedParts + 2*runParts
	minShare          = 256 << 10
	maxShare          = 16 << 20

	tableFetchBytes     = 8 << 20
	tablePartitionBytes = 1 << 20
)

// NewTableFetcher connects a fetcher for tables that are restored in bulk: what it may hold is bounded for all feeds
// together, so that one table restores with large runs and a hundred at once with small ones. bytes is the bound, 0 for
// DefaultTableBytes; each feed takes at least 1.25 MiB. Close it to end its goroutine.
func NewTableFetcher(client *Client, bytes int64) (*Fetcher, error) {
	if bytes == 0 {
		bytes = DefaultTableBytes
	}
	answer := min(max(bytes/fetchGrowth/2, minFetch), tableFetchBytes)
	return newFetcher(client, &FetchBudget{}, int(bytes),
		kgo.FetchMaxBytes(int32(answer)), kgo.FetchMaxPartitionBytes(int32(min(answer, tablePartitionBytes))))
}

// feedShare is how much a feed may hold before its partition is paused.
func (f *Fetcher) feedShare() int {
	if f.memory == 0 {
		return int(f.budget.feedHigh())
	}
	return f.share(feedParts)
}

// runShare is how large a run of a feed may get.
func (f *Fetcher) runShare() int {
	if f.memory == 0 {
		return int(f.budget.feedHigh())
	}
	return f.share(runParts)
}

func (f *Fetcher) share(parts int) int {
	share := f.memory / allParts * parts / int(max(f.open.Load(), 1))
	return min(max(share, minShare), maxShare)
}
