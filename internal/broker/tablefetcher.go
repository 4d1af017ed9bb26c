package broker

import (
	"cmp"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// DefaultTableBytes is the default bound of the memory of all feeds of a table fetcher and the runs made of them.
	// Each feed has an equal share. Of that, feedParts are for the feed itself and runParts for each of two runs: one
	// is being gathered while the other is applied. Larger runs merge more records, since a run cannot merge two
	// records that are further apart than it is long.
	DefaultTableBytes = 160 << 20
	feedParts         = 1
	runParts          = 2
	allParts          = feedParts + 2*runParts
	minShare          = 256 << 10
	maxShare          = 16 << 20

	tableFetchBytes     = 8 << 20
	tablePartitionBytes = 1 << 20
)

// NewTableFetcher connects a fetcher for tables that are restored in bulk. Its memory is bounded for all feeds
// together, so that one table restores with large runs and a hundred tables at once with small ones. bytes is the
// bound, 0 for DefaultTableBytes; each feed takes at least 1.25 MiB. Close it to end its goroutine.
func NewTableFetcher(client *Client, bytes int64) (*Fetcher, error) {
	bytes = cmp.Or(bytes, DefaultTableBytes)
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
