package broker_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
)

// franz-go sends the first records to a topic before it lists the topic's partitions; a commit that overtakes the
// listing would be turned into an abort and reported as done. Many fresh writers at once make the race likely enough to
// be seen here now and then if the writer did not wait for the listing.
func TestWriter_commitOfAFreshWriterIsNeverAnAbort(t *testing.T) {
	client := fenceCluster(t, "out", "state")
	const owners, takeovers, commits = 8, 12, 3
	var mu sync.Mutex
	acknowledged := make(map[string]bool)
	var running sync.WaitGroup
	for owner := range owners {
		running.Go(func() {
			for takeover := range takeovers {
				w, err := broker.TakeOver(t.Context(), client, broker.WriterConfig{TransactionalID: fmt.Sprint("c.g.", owner)})
				if !noError(t, err) {
					return
				}
				for n := range commits {
					value := fmt.Sprintf("%d-%d-%d", owner, takeover, n)
					if !noError(t, w.Begin()) {
						return
					}
					if n%2 == 1 {
						produce(w, "out", value)
					}
					w.Produce(&kgo.Record{Topic: "state", Partition: 0, Key: []byte(value), Value: []byte(value)}, nil)
					if !noError(t, w.Commit(t.Context(), nil)) {
						return
					}
					mu.Lock()
					acknowledged[value] = true
					mu.Unlock()
				}
				w.Close()
			}
		})
	}
	running.Wait()
	require.Len(t, acknowledged, owners*takeovers*commits)
	for _, value := range restored(t, client, "state") {
		delete(acknowledged, value)
	}
	require.Empty(t, acknowledged, "acknowledged but not in the log")
}

// noError reports an error from a goroutine that is not the test's own.
func noError(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}
