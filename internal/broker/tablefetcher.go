package broker

import "github.com/twmb/franz-go/pkg/kgo"

const (
	// tableMemory bounds what all feeds of a table fetcher hold together with the runs that are made of it. Each feed
	// has its share, of which feedParts are for what the feed holds and runParts for each of two runs: the one that is
	// gathered and the one that is applied. Larger runs merge more records: a run cannot merge two records that are
	// further apart than it is long.
	tableMemory = 160 << 20
	feedParts   = 1
	runParts    = 2
	allParts    = feedParts + 2*runParts
	minShare    = 256 << 10
	maxShare    = 16 << 20

	tableFetchBytes     = 8 << 20
	tablePartitionBytes = 1 << 20
)

// NewTableFetcher connects a fetcher for tables that are restored in bulk: what it may hold is bounded for all feeds
// together, so that one table restores with large runs and a hundred at once with small ones. Close it to end its
// goroutine.
func NewTableFetcher(client *Client) (*Fetcher, error) {
	return newFetcher(client, tableMemory, kgo.FetchMaxBytes(tableFetchBytes), kgo.FetchMaxPartitionBytes(tablePartitionBytes))
}

// feedShare is how much a feed may hold before its partition is paused.
func (f *Fetcher) feedShare() int {
	if f.memory == 0 {
		return feedHigh
	}
	return f.share(feedParts)
}

// runShare is how large a run of a feed may get.
func (f *Fetcher) runShare() int {
	if f.memory == 0 {
		return feedHigh
	}
	return f.share(runParts)
}

func (f *Fetcher) share(parts int) int {
	share := f.memory / allParts * parts / int(max(f.open.Load(), 1))
	return min(max(share, minShare), maxShare)
}
