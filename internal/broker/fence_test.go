package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// fenceCluster starts a kfake cluster with topics of two partitions and connects to it.
func fenceCluster(t *testing.T, topics ...string) *broker.Client {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topics...))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return connectTo(t, cluster.ListenAddrs())
}

func takeOver(t *testing.T, client *broker.Client, id string) *broker.Writer {
	t.Helper()
	w, err := broker.TakeOver(t.Context(), client, broker.WriterConfig{TransactionalID: id, Group: "g"})
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

func produce(w *broker.Writer, topic string, values ...string) {
	for _, v := range values {
		w.Produce(&kgo.Record{Topic: topic, Partition: 0, Key: []byte(v), Value: []byte(v)}, nil)
	}
}

// restored reads all that is committed in partition 0.
func restored(t *testing.T, client *broker.Client, topic string) (values []string) {
	t.Helper()
	_, err := broker.Restore(t.Context(), client, topic, 0, 0, func(records []*kgo.Record) error {
		for _, rec := range records {
			values = append(values, string(rec.Value))
		}
		return nil
	})
	require.NoError(t, err)
	return values
}

func TestWriter_commitsRecordsAndOffsetsTogether(t *testing.T) {
	client := fenceCluster(t, "in", "out")
	w := takeOver(t, client, "c.g.0")

	offsets, err := w.Committed(t.Context(), []string{"in"}, 0)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"in": -1}, offsets)

	require.NoError(t, w.Begin())
	produce(w, "out", "a", "b")
	in := state.TopicPartition{Topic: "in", Partition: 0}
	require.NoError(t, w.Commit(t.Context(), state.Offsets{in: 7}))

	offsets, err = w.Committed(t.Context(), []string{"in"}, 0)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"in": 7}, offsets)
	require.Equal(t, []string{"a", "b"}, restored(t, client, "out"))
}

func TestTakeOver_abortsWhatThePredecessorLeftOpenAndRefusesIt(t *testing.T) {
	client := fenceCluster(t, "in", "out")
	in := state.TopicPartition{Topic: "in", Partition: 0}
	old := takeOver(t, client, "c.g.0")
	require.NoError(t, old.Begin())
	produce(old, "out", "kept")
	require.NoError(t, old.Commit(t.Context(), state.Offsets{in: 1}))
	require.NoError(t, old.Begin())
	produce(old, "out", "dangling")
	require.NoError(t, old.Flush(t.Context()))

	fresh := takeOver(t, client, "c.g.0")
	require.Equal(t, []string{"kept"}, restored(t, client, "out"), "the open transaction is aborted")

	produce(old, "out", "zombie")
	err := old.Commit(t.Context(), state.Offsets{in: 99})
	require.ErrorIs(t, err, broker.ErrFenced)

	require.NoError(t, fresh.Begin())
	produce(fresh, "out", "new")
	require.NoError(t, fresh.Commit(t.Context(), state.Offsets{in: 2}))
	offsets, err := fresh.Committed(t.Context(), []string{"in"}, 0)
	require.NoError(t, err)
	require.Equal(t, int64(2), offsets["in"])
	require.Equal(t, []string{"kept", "new"}, restored(t, client, "out"))
}

func TestRestore_endsAtAMarkerAndResumes(t *testing.T) {
	client := fenceCluster(t, "out")
	w := takeOver(t, client, "c.g.0")
	for i := range 3 {
		require.NoError(t, w.Begin())
		produce(w, "out", fmt.Sprint(i))
		require.NoError(t, w.Commit(t.Context(), nil))
	}
	var seen []string
	collect := func(records []*kgo.Record) error {
		for _, rec := range records {
			seen = append(seen, string(rec.Value))
		}
		return nil
	}
	next, err := broker.Restore(t.Context(), client, "out", 0, 0, collect)
	require.NoError(t, err)
	require.Equal(t, []string{"0", "1", "2"}, seen)
	end, err := client.EndOffset(t.Context(), "out", 0)
	require.NoError(t, err)
	require.Equal(t, end, next)

	seen = nil
	_, err = broker.Restore(t.Context(), client, "out", 0, next, collect)
	require.NoError(t, err)
	require.Empty(t, seen)

	failure := errors.New("disk full")
	_, err = broker.Restore(t.Context(), client, "out", 0, 0, func([]*kgo.Record) error { return failure })
	require.ErrorIs(t, err, failure)
	require.ErrorContains(t, err, "restore out/0")
}

func TestFetcher_feedsAreIndependentAndRewind(t *testing.T) {
	client := fenceCluster(t, "a", "b")
	w := takeOver(t, client, "c.g.0")
	require.NoError(t, w.Begin())
	produce(w, "a", "1", "2", "3")
	produce(w, "b", "x")
	require.NoError(t, w.Commit(t.Context(), nil))

	f, err := broker.NewFetcher(client, nil)
	require.NoError(t, err)
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	read := func(feed *broker.Feed, n int) (values []string) {
		for len(values) < n {
			batch, err := feed.Next(ctx)
			require.NoError(t, err)
			for _, rec := range batch.Records {
				values = append(values, string(rec.Value))
			}
		}
		return values
	}
	a := f.Add("a", 0, 0, nil)
	b := f.Add("b", 0, 0, nil)
	require.Equal(t, []string{"1", "2", "3"}, read(a, 3))
	require.Equal(t, []string{"x"}, read(b, 1))
	require.Equal(t, int64(4), a.Fetched(), "the position counts the commit marker")

	for range 5 {
		a.Close()
		a = f.Add("a", 0, 1, nil)
		require.Equal(t, []string{"2", "3"}, read(a, 2), "a feed added again starts where it is told")
	}
	_, err = func() (broker.Batch, error) { second := f.Add("a", 0, 0, nil); return second.Next(ctx) }()
	require.ErrorContains(t, err, "already has a feed")

	f.Close()
	_, err = b.Next(ctx)
	require.ErrorContains(t, err, "fetcher is closed")
}
