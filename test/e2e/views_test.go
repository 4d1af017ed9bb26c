package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// Every kind of store that views can read is read as soon as it reflects the written records.
func TestViews_readEveryKindOfStore(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	app, in := unique("app"), unique("in")
	c.createTopics(t, in)
	b := topology.NewBuilder(app)
	flights := topology.Source(b, in, codecs.String, codecs.String)
	latest := flights.ToTable("latest", codecs.String, topology.Versioned(time.Hour))
	latest.Index("by-gate", func(_, gate string) (string, bool) { return gate, true }, codecs.String)
	grouped := flights.GroupByKey()
	grouped.Count("counts")
	grouped.WindowedBy(topology.Tumbling(10 * time.Second).Retention(time.Minute)).Count("windows")
	grouped.WindowedBySessions(topology.Sessions(10 * time.Second).Retention(time.Minute)).Count("sessions")
	top, err := b.Build()
	require.NoError(t, err)
	running, err := processors.New(top, processors.Config{
		Brokers: c.brokers, Dir: t.TempDir(), Logger: testLogger(t), Replication: 1, CommitInterval: 10 * time.Millisecond,
	})
	require.NoError(t, err)
	stop := sync.OnceFunc(inBackground(t, running.Run))
	t.Cleanup(stop)
	vs, closeViews := c.openViews(t, top.Tables()...)
	t.Cleanup(sync.OnceFunc(closeViews))

	at := func(key, value string, millis int64) *kgo.Record {
		return &kgo.Record{Topic: in, Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(millis)}
	}
	written := c.produceAll(t, at("KL", "D1", 1000), at("KL", "D2", 12_000), at("BA", "D2", 5000), at("KL", "D3", 40_000))
	str, ctx := codecs.String, t.Context()
	require.NoError(t, vs.Wait(ctx, written))

	counts, err := views.KeyValue(vs, "counts", str, codecs.Int64)
	require.NoError(t, err)
	n, ok, err := counts.Get(ctx, "KL")
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 3, n)

	windows, err := views.Windows(vs, "windows", str, codecs.Int64)
	require.NoError(t, err)
	var found []string
	for e, err := range windows.Fetch(ctx, "KL", 0, 40_000) {
		require.NoError(t, err)
		found = append(found, e.Window.String())
	}
	require.Equal(t, []string{state.Window{Start: 0, End: 10_000}.String(), state.Window{Start: 10_000, End: 20_000}.String()}, found)

	sessions, err := views.Sessions(vs, "sessions", str, codecs.Int64)
	require.NoError(t, err)
	first := state.Session{Start: 1000, End: 1000}
	n, ok, err = sessions.Get(ctx, "KL", first)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 1, n)
	_, ok, err = sessions.Get(ctx, "KL", state.Session{Start: 1000, End: 12_000})
	require.NoError(t, err)
	require.False(t, ok)
	var during []state.Session
	for e, err := range sessions.Fetch(ctx, "KL", 500, 12_000) {
		require.NoError(t, err)
		during = append(during, e.Session)
	}
	require.Equal(t, []state.Session{first, {Start: 12_000, End: 12_000}}, during)

	versions, err := views.Versions(vs, "latest", str, str)
	require.NoError(t, err)
	gate, from, ok, err := versions.Get(ctx, "KL")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "D3", gate)
	require.EqualValues(t, 40_000, from)
	gate, from, ok, err = versions.GetAsOf(ctx, "KL", 39_999)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, "D2", gate)
	require.EqualValues(t, 12_000, from)
	var history []string
	for e, err := range versions.Fetch(ctx, "KL", 0, 12_001) {
		require.NoError(t, err)
		history = append(history, e.Value)
	}
	require.Equal(t, []string{"D1", "D2"}, history)

	byGate, err := views.Index(vs, "by-gate", str, str, str)
	require.NoError(t, err)
	var at2 []string
	for e, err := range byGate.Find(ctx, "D2") {
		require.NoError(t, err)
		at2 = append(at2, e.Key)
	}
	require.Equal(t, []string{"BA"}, at2)

	ended, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range sessions.Fetch(ended, "KL", 0, 1) {
		require.ErrorIs(t, err, context.Canceled)
	}
	_, _, _, err = versions.Get(ended, "KL")
	require.ErrorIs(t, err, context.Canceled)
	_, err = views.Sessions(vs, "windows", str, codecs.Int64)
	require.ErrorContains(t, err, `view "windows": store is of kind window, not session`)
}
