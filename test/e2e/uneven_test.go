package e2e

import (
	"context"
	"fmt"
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

// Merged streams may have different numbers of partitions: there are as many tasks as the largest has partitions, and
// views still know their positions.
func TestMerge_inputsOfDifferentSizes(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	sources := map[string]int32{unique("few"): 2, unique("many"): 5, unique("behind"): 3}
	b := topology.NewBuilder(unique("merge"))
	var merged []topology.Stream[string, string]
	var topics []string
	for topic, n := range sources {
		c.createSized(t, n, topic)
		topics = append(topics, topic)
		s := topology.Source(b, topic, codecs.String, codecs.String)
		if n == 3 { // a repartition topic that most tasks have nothing of
			s = s.Rekey(func(k, _ string) string { return k }).Repartition("r", codecs.String, codecs.String, topology.Partitions(1))
		}
		merged = append(merged, s)
	}
	all := merged[0].Merge(merged[1]).Merge(merged[2])
	all.GroupByKey().Count("counts")
	all.GroupBy("by-value", func(_, v string) string { return v }, codecs.String, codecs.String).Count("values")
	top, err := b.Build()
	require.NoError(t, err)

	written := 0
	var offsets state.Offsets
	produce := func() {
		var records []*kgo.Record
		for range 300 {
			topic := topics[written%3]
			records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "%s %d", topic, written%7), Value: fmt.Append(nil, written%4)})
			written++
		}
		offsets = offsets.Merge(c.produceAll(t, records...))
	}
	want := func() (keys, values map[string]int64) {
		keys, values = make(map[string]int64), make(map[string]int64)
		for i := range written {
			keys[fmt.Sprintf("%s %d", topics[i%3], i%7)]++
			values[fmt.Sprint(i%4)]++
		}
		return keys, values
	}
	dir := t.TempDir()
	for range 2 {
		produce()
		app, err := processors.New(top, processors.Config{
			Brokers: c.brokers, Dir: dir, Logger: testLogger(t), CommitInterval: 10 * time.Millisecond, SessionTimeout: 6 * time.Second,
		})
		require.NoError(t, err)
		stop := inBackground(t, app.Run)
		v, stopViews := c.openViews(t, top.Tables()...)
		produce()
		wait, waited := context.WithTimeout(t.Context(), time.Minute)
		require.NoError(t, v.Wait(wait, offsets))
		waited()
		wantKeys, wantValues := want()
		for store, want := range map[string]map[string]int64{"counts": wantKeys, "values": wantValues} {
			rows, err := views.KeyValue(v, store, codecs.String, codecs.Int64)
			require.NoError(t, err)
			require.Equal(t, want, counts(t, rows), store)
		}
		for _, g := range app.Info(t.Context()).Groups {
			if g.Group == top.Name()+"-counts" {
				require.Equal(t, int32(5), g.Partitions)
			}
		}
		stop()
		stopViews()
	}
}
