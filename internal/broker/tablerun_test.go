package broker

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A run applied at once leaves what its records leave one by one.
func TestRun_isItsRecords(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	free := make(chan *Run, 1)
	run := newRun(free)
	for range 300 {
		want := make(map[string][]byte)
		var records int
		var size int64
		keys := 1 + random.IntN(200)
		for range random.IntN(8) {
			var batch Batch
			for range random.IntN(300) {
				rec := &kgo.Record{Key: fmt.Appendf(nil, "store\x00%d", random.IntN(keys))}
				switch random.IntN(20) {
				case 0:
				case 1:
					rec.Value = []byte{}
				case 2:
					rec.Value = bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(2000))
					if random.IntN(500) == 0 {
						rec.Value = make([]byte, random.IntN(3*chunkSize))
					}
				case 3:
					rec.Key = []byte("\x00position")
					rec.Value = []byte{byte(random.IntN(256))}
				case 4:
					rec.Key = nil
					rec.Value = []byte("no row has no key")
				default:
					rec.Value = bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(40))
				}
				if len(rec.Key) > 0 {
					want[string(rec.Key)] = bytes.Clone(rec.Value)
				}
				records++
				size += int64(len(rec.Key) + len(rec.Value))
				batch.Records = append(batch.Records, rec)
			}
			batch.Next = run.next + int64(len(batch.Records)) + 1
			run.add(batch)
			for _, rec := range batch.Records { // the memory of a fetch is not the run's
				clear(rec.Key)
				clear(rec.Value)
			}
		}
		got := make(map[string][]byte)
		var order []string
		for key, value := range run.Rows() {
			got[string(key)] = bytes.Clone(value)
			order = append(order, string(key))
		}
		require.Equal(t, want, got)
		require.True(t, slices.IsSorted(order))
		require.Equal(t, len(want), run.Len())
		require.Equal(t, records, run.Records())
		require.Equal(t, size, run.Bytes())
		run.Release()
		run = <-free
	}
}

// A fetcher for tables divides its memory, and neither starves a table nor lets one have it all.
func TestFetcher_sharesItsMemory(t *testing.T) {
	f := &Fetcher{memory: DefaultTableBytes}
	for feeds := range int64(2000) {
		f.open.Store(feeds)
		feed, run := f.feedShare(), f.runShare()
		require.GreaterOrEqual(t, feed, minShare)
		require.LessOrEqual(t, run, maxShare)
		if run > minShare && feed > minShare {
			require.LessOrEqual(t, int(max(feeds, 1))*(feed+2*run), DefaultTableBytes)
		}
	}
	require.Equal(t, maxFeed, (&Fetcher{budget: NewFetchBudget(1<<30, 1, 1)}).feedShare())
}
