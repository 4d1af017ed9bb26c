package topology

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// probe collects the changes of a table as text-friendly values; nil is no row.
type probe struct {
	Key      string
	Window   state.Window
	Old, New any
	Time     int64
}

func watch[V any](from *port[change[string, V]], b *graph, into *[]probe) {
	n := b.node("probe", nil)
	link(from, n, func(*engine.Host) receiver[change[string, V]] {
		return func(c *change[string, V]) error {
			p := probe{Key: c.Key, Window: c.Window, Time: c.Timestamp}
			if c.HasOld {
				p.Old = c.Old
			}
			if c.HasNew {
				p.New = c.New
			}
			*into = append(*into, p)
			return nil
		}
	})
}

// A change of a table has the old value and the new one.
func TestChange_hasOldAndNew(t *testing.T) {
	b := NewBuilder("app")
	table := TableOf(b, "a", codecs.String, codecs.String)
	grouped := table.ToStream().GroupByKey()
	gone := DeleteWhen(func(s string) bool { return len(s) > 2 })
	concat := func(_, v, all string) string { return all + v }
	all := grouped.Aggregate("all", func() string { return "" }, concat, codecs.String, gone)
	counts := grouped.WindowedBy(Tumbling(10 * time.Millisecond).Grace(time.Second)).Count("counts")
	var rows, aggregates, windows []probe
	watch(table.out, &b.graph, &rows)
	watch(all.out, &b.graph, &aggregates)
	watch(counts.out, &b.graph, &windows)
	top, err := b.Build()
	require.NoError(t, err)
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	task, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: noSink{}})
	require.NoError(t, err)

	for _, r := range []engine.RawRecord{
		{Value: []byte("x"), Timestamp: 5},
		{Value: []byte("y"), Timestamp: 3},
		{Timestamp: 12},
		{Value: []byte("z"), Timestamp: 4},
	} {
		r.Key = []byte("k")
		require.NoError(t, task.Process(0, &r))
	}
	require.Equal(t, []probe{
		{Key: "k", New: "x", Time: 5},
		{Key: "k", Old: "x", New: "y", Time: 3},
		{Key: "k", Old: "y", Time: 12},
		{Key: "k", New: "z", Time: 4},
	}, rows)
	require.Equal(t, []probe{
		{Key: "k", New: "x", Time: 5},
		{Key: "k", Old: "x", New: "xy", Time: 5},
		{Key: "k", Old: "xy", Time: 5},
	}, aggregates)
	first, second := state.Window{Start: 0, End: 10}, state.Window{Start: 10, End: 20}
	require.Equal(t, []probe{
		{Key: "k", Window: first, New: int64(1), Time: 5},
		{Key: "k", Window: first, Old: int64(1), New: int64(2), Time: 5},
		{Key: "k", Window: second, New: int64(1), Time: 12},
		{Key: "k", Window: first, Old: int64(2), New: int64(3), Time: 5},
	}, windows)
}

type noSink struct{}

func (noSink) Send(string, engine.RawRecord) error { return nil }

// A node with several inputs is wired once, and so are the nodes below it.
func TestPort_isWiredOnce(t *testing.T) {
	b := NewBuilder("app")
	left, right := Source(b, "a", codecs.String, codecs.String), Source(b, "b", codecs.String, codecs.String)
	merge := b.node("merge", nil)
	merged := &port[item[string, string]]{node: merge}
	for _, s := range []Stream[string, string]{left, right} {
		link(s.out, merge, merged.receiver)
	}
	wired := 0
	then(merged, b.node("below", nil), func(_ *engine.Host, next receiver[item[string, string]]) receiver[item[string, string]] {
		wired++
		return next
	})
	top, err := b.Build()
	require.NoError(t, err)
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	require.Len(t, top.SubTopologies(), 1)
	_, err = top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: noSink{}})
	require.NoError(t, err)
	require.Equal(t, 1, wired)
}

func TestMillis_windowsOfATimestamp(t *testing.T) {
	starts := func(w millis, timestamp int64) []int64 {
		var out []int64
		for window := w.first(timestamp); window.Start <= timestamp; window = w.after(window) {
			out = append(out, window.Start)
		}
		return out
	}
	tumbling := Tumbling(10 * time.Millisecond).millis()
	require.Equal(t, []int64{0}, starts(tumbling, 0))
	require.Equal(t, []int64{0}, starts(tumbling, 9))
	require.Equal(t, []int64{10}, starts(tumbling, 10))
	hopping := TimeWindows{size: 10 * time.Millisecond, advance: 4 * time.Millisecond}.millis()
	require.Equal(t, []int64{0, 4, 8}, starts(hopping, 9), "no window starts before the epoch")
	require.Equal(t, []int64{4, 8, 12}, starts(hopping, 13))
	require.Equal(t, []int64{8, 12}, starts(hopping, 14), "4 ends at 14")
}
