package topology_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestBuild_refusesWindows(t *testing.T) {
	str := codecs.String
	var noCodec codecs.Codec[string]
	var noOption topology.EmitOption
	const most = math.MaxInt64 / time.Millisecond * time.Millisecond
	testRefusals(t, []refusal{
		{name: "hopping", define: func(b *topology.Builder) {
			g := flights(b).GroupByKey()
			for _, w := range []topology.TimeWindows{
				topology.Hopping(0, 0), topology.Hopping(time.Second, 0), topology.Hopping(time.Second, -1),
				topology.Hopping(time.Second, 2*time.Second), topology.Hopping(time.Second, time.Microsecond).Grace(-time.Second),
				topology.Hopping(most, time.Second).Grace(time.Hour),
			} {
				g.WindowedBy(w)
			}
			g.WindowedBy(nil).Count("n")
		}, want: []string{
			"windowed-by: the window size is 0s; want more than 0",
			"windowed-by: the advance is 0s; want more than 0 and at most the window size, 1s",
			"windowed-by: the advance is -1ns; want more than 0 and at most the window size, 1s",
			"windowed-by: the advance is 2s; want more than 0 and at most the window size, 1s",
			"windowed-by: the grace of -1s is negative",
			"windowed-by: the advance of 1µs is not a whole number of milliseconds",
			"windowed-by: window size and grace together are more than 2562047h47m16.854775807s, the longest duration there is",
			"windowed-by: the windows are nil",
		}},
		{name: "sliding", define: func(b *topology.Builder) {
			g := flights(b).GroupByKey()
			for _, w := range []topology.SlidingWindows{
				topology.Sliding(0), topology.Sliding(-time.Second), topology.Sliding(time.Microsecond).Grace(-1).Retention(-1),
				topology.Sliding(time.Second).Grace(time.Minute).Retention(time.Minute + 1999*time.Millisecond),
				topology.Sliding(most/2 + time.Millisecond - most/2%time.Millisecond).Grace(time.Hour),
			} {
				g.WindowedBy(w)
			}
		}, want: []string{
			"windowed-by: the time difference is 0s; want more than 0",
			"windowed-by: the time difference is -1s; want more than 0",
			"windowed-by: the time difference of 1µs is not a whole number of milliseconds",
			"windowed-by: the grace of -1ns is negative",
			"windowed-by: the retention of -1ns is negative",
			"windowed-by: the retention of 1m1.999s is shorter than twice the time difference and the grace together, 1m2s: " +
				"windows would be lost while they are open",
			"windowed-by: twice the time difference and the grace together are more than 2562047h47m16.854775807s, the longest duration there is",
		}},
		{name: "sessions", define: func(b *topology.Builder) {
			g := flights(b).GroupByKey()
			for _, w := range []topology.SessionWindows{
				topology.Sessions(0), topology.Sessions(-time.Second), topology.Sessions(time.Second + 1),
				topology.Sessions(time.Second).Grace(time.Second).Retention(1999 * time.Millisecond),
				topology.Sessions(most).Grace(time.Hour),
			} {
				g.WindowedBySessions(w)
			}
		}, want: []string{
			"windowed-by-sessions: the gap is 0s; want more than 0",
			"windowed-by-sessions: the gap is -1s; want more than 0",
			"windowed-by-sessions: the gap of 1.000000001s is not a whole number of milliseconds",
			"windowed-by-sessions: the retention of 1.999s is shorter than gap and grace together, 2s: windows would be lost while they are open",
			"windowed-by-sessions: gap and grace together are more than 2562047h47m16.854775807s, the longest duration there is",
		}},
		{name: "aggregates", define: func(b *topology.Builder) {
			g := flights(b).GroupByKey()
			w, s := g.WindowedBy(topology.Sliding(time.Second)), g.WindowedBySessions(topology.Sessions(time.Second))
			g.Reduce("r", nil, noCodec, nil)
			w.Reduce("w", nil, str)
			w.Aggregate("a", nil, nil, noCodec)
			s.Reduce("s", nil, str)
			s.Aggregate("t", nil, nil, nil, noCodec)
			s.Count("Nodes")
			w.EmitOnClose(noOption).Count("stream-times")
			w.Count("c").Filter(nil)
			w.Count("d").MapValues[string](nil)
		}, want: []string{
			`reduce "r": the function is nil`, `reduce "r": the codec of the results is nil`, `reduce "r": option is nil`,
			`windowed-reduce "w": the function is nil`,
			`windowed-aggregate "a": the function for the initial value is nil`,
			`windowed-aggregate "a": the codec of the results is nil`,
			`windowed-aggregate "a": the function that adds a value is nil`,
			`session-reduce "s": the function is nil`,
			`session-aggregate "t": the function for the initial value is nil`,
			`session-aggregate "t": the codec of the results is nil`,
			`session-aggregate "t": the function that adds a value is nil`,
			`session-aggregate "t": the function that merges sessions is nil`,
			`session-count "Nodes": name "Nodes" is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen`,
			"emit-on-close: option is nil",
			`windowed-count "stream-times": the store name "stream-times" is reserved`,
			"filter: the function is nil",
			"map-values: the function is nil",
		}},
		{name: "cogroup", define: func(b *topology.Builder) {
			g := flights(b).GroupByKey()
			numbers := topology.Source(b, "numbers", codecs.Bytes, str).MapValues(func(string) int { return 0 })
			other := topology.NewBuilder("other")
			add := func(_, _, all string) string { return all }
			g.Cogroup[string](nil).Cogroup(topology.GroupedStream[string, int]{}, nil).Aggregate("a", nil, noCodec)
			c := g.Cogroup(add).Cogroup(flights(other).GroupByKey(), add)
			c.Aggregate("b", none, str)
			c.WindowedBy(nil).Aggregate("c", none, str)
			c.WindowedBySessions(topology.SessionWindows{}).Aggregate("d", none, nil, str)
			byBytes := numbers.GroupByKey().Cogroup(func(_ []byte, _ int, all string) string { return all })
			byBytes.Cogroup(topology.Source(b, "texts", codecs.JSON[[]byte](), str).GroupByKey(),
				func(_ []byte, _, all string) string { return all }).Aggregate("e", none, str)
		}, want: []string{
			"cogroup: the function that adds a value is nil",
			"cogroup: the function that adds a value is nil",
			"cogroup: the stream is the zero GroupedStream; grouped streams are made by GroupByKey and GroupBy",
			`cogroup "a": the function for the initial value is nil`, `cogroup "a": the codec of the results is nil`,
			`cogroup "b": the source at PLACE belongs to another builder (application "other"); a topology has one builder`,
			"windowed-by: the windows are nil",
			"windowed-by-sessions: the gap is 0s; want more than 0",
			`session-cogroup "d": the function that merges sessions is nil`,
			`session-cogroup "d": the source at PLACE belongs to another builder (application "other"); a topology has one builder`,
			`cogroup "e": one side encodes its keys with codecs.bytesCodec, the source at PLACE with codecs.jsonCodec[[]uint8], ` +
				"so equal keys may be in different partitions; use one codec for both",
		}},
	})
}

func TestZeroValues_panic(t *testing.T) {
	require.Panics(t, func() { topology.CogroupedStream[string, string]{}.Aggregate("a", none, codecs.String) })
	require.Panics(t, func() { topology.KeyedByWindow(topology.WindowedTable[string, string]{}) })
}
