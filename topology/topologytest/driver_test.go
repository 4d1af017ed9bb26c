package topologytest_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

type record = topology.Record[string, string]

func build(tb testing.TB, define func(b *topology.Builder)) *topology.Topology {
	tb.Helper()
	b := topology.NewBuilder("airport")
	define(b)
	top, err := b.Build()
	require.NoError(tb, err)
	return top
}

// routes appends to the route of each flight and fails for the value "bad".
func routes(b *topology.Builder) {
	topology.Source(b, "positions", codecs.String, codecs.String).
		GroupBy("by-flight", func(k, _ string) string { return k }, codecs.String, codecs.String).
		Aggregate("routes", func() string { return "" }, func(_, at, route string) string {
			if at == "bad" {
				panic("bad position")
			}
			return route + at
		}, codecs.String).
		ToStream().
		To("out", codecs.String, codecs.String)
}

func start(t *testing.T, opts ...topologytest.Option) (
	*topologytest.Driver, *topologytest.InputTopic[string, string], *topologytest.OutputTopic[string, string],
) {
	t.Helper()
	d := topologytest.NewDriver(t, build(t, routes), opts...)
	return d, topologytest.Input(d, "positions", codecs.String, codecs.String), topologytest.Output(d, "out", codecs.String, codecs.String)
}

func Example() {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).
		GroupByKey().Count("updates").ToStream().To("counts", codecs.String, codecs.Int64)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	d := topologytest.NewDriver(topologytest.Example(), top) // in a test: topologytest.NewDriver(t, top)
	flights := topologytest.Input(d, "flights", codecs.String, codecs.String)
	counts := topologytest.Output(d, "counts", codecs.String, codecs.Int64)

	flights.Pipe("KL1001", "boarding", 1000)
	d.Restart()
	flights.Pipe("KL1001", "closed", 2000)
	flights.PipeNullValue("KL1001", 3000)
	for _, r := range counts.Drain() {
		fmt.Println(r.Key, r.Value)
	}
	for _, row := range topologytest.Rows(d, "updates", codecs.String, codecs.Int64) {
		fmt.Println("row", row.Key, row.Value)
	}
	for _, drop := range d.Drops() {
		fmt.Println("dropped", drop.Reason)
	}
	// Output:
	// KL1001 1
	// KL1001 2
	// row KL1001 2
	// dropped null-value
}

func TestDriver_runsRepartitionsInline(t *testing.T) {
	d, in, out := start(t)
	inner := topologytest.Output(d, "airport-by-flight-repartition", codecs.String, codecs.String)
	in.Pipe("KL", "a", 5)
	in.PipeNullKey("b", 6)
	in.PipeRecord(record{Key: "KL", Value: "c", Timestamp: 7, Headers: []engine.Header{{Key: "by", Value: []byte("radar")}}})
	headers := []engine.Header{{Key: "by", Value: []byte("radar")}}
	require.Equal(t, []record{
		{Key: "KL", Value: "a", Timestamp: 5}, {Key: "", Value: "b", Timestamp: 6}, {Key: "KL", Value: "ac", Timestamp: 7, Headers: headers},
	}, out.Drain())
	require.Empty(t, out.Drain())
	require.Len(t, inner.Drain(), 3)
	require.EqualValues(t, 7, d.StreamTime("routes"))
}

func TestDriver_interruptions(t *testing.T) {
	for name, interrupt := range map[string]func(d *topologytest.Driver){
		"restart": (*topologytest.Driver).Restart,
		"crash":   (*topologytest.Driver).Crash,
		"restore": (*topologytest.Driver).Restore,
		"commit":  (*topologytest.Driver).Commit,
	} {
		t.Run(name, func(t *testing.T) {
			d, in, out := start(t, topologytest.CommitEvery(2), topologytest.CacheBytes(1))
			in.Pipe("KL", "a", 1)
			interrupt(d)
			in.Pipe("KL", "b", 2)
			require.Equal(t, []record{{Key: "KL", Value: "a", Timestamp: 1}, {Key: "KL", Value: "ab", Timestamp: 2}}, out.Drain())
			in.Pipe("KL", "c", 3)
			in.PipeNullValue("KL", 9)
			interrupt(d)
			in.Pipe("KL", "d", 4)
			require.Equal(t, []record{{Key: "KL", Value: "abc", Timestamp: 3}, {Key: "KL", Value: "abcd", Timestamp: 4}}, out.Drain())
			require.Len(t, d.Drops(), 1, "a drop is not counted twice")
			require.EqualValues(t, 9, d.StreamTime("positions"))
			require.Equal(t, []state.Entry[string, string]{{Key: "KL", Value: "abcd", Timestamp: 4}},
				topologytest.Rows(d, "routes", codecs.String, codecs.String))
		})
	}
}

func TestDriver_failedRecordLeavesNoTrace(t *testing.T) {
	d, in, out := start(t, topologytest.CommitEvery(100))
	in.Pipe("KL", "a", 1)
	err := in.TryPipe(record{Key: "KL", Value: "bad", Timestamp: 50})
	var failed *engine.RecordError
	require.ErrorAs(t, err, &failed)
	require.EqualError(t, err, `sub-topology "routes": record "KL" -> "bad" @50: `+
		`node "routes": topic "airport-by-flight-repartition" partition 0 offset 1: panic: bad position`)
	require.EqualValues(t, 1, d.StreamTime("positions"))
	in.Pipe("KL", "b", 2)
	require.Equal(t, []record{{Key: "KL", Value: "a", Timestamp: 1}, {Key: "KL", Value: "ab", Timestamp: 2}}, out.Drain())
}

// A task that has records of several inputs takes the smallest timestamp first, and keeps the order within an input.
func TestDriver_mergesInputsByTime(t *testing.T) {
	d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
		s := topology.Source(b, "in", codecs.String, codecs.String)
		same := func(k, _ string) string { return k }
		table := s.GroupBy("left", same, codecs.String, codecs.String).
			Aggregate("last", func() string { return "" }, func(_, v, _ string) string { return v }, codecs.String)
		s.Rekey(same).Repartition("right", codecs.String, codecs.String).
			JoinTable(table, func(v, row string) string { return v + row }).To("out", codecs.String, codecs.String)
	}))
	in, out := topologytest.Input(d, "in", codecs.String, codecs.String), topologytest.Output(d, "out", codecs.String, codecs.String)
	in.Pipe("k", "1", 1)
	in.Pipe("k", "2", 2)
	require.Equal(t, []record{{Key: "k", Value: "11", Timestamp: 1}, {Key: "k", Value: "22", Timestamp: 2}}, out.Drain())
}

func TestWindows(t *testing.T) {
	d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
		topology.Source(b, "in", codecs.String, codecs.String).GroupByKey().
			WindowedBy(topology.Tumbling(time.Second).Retention(time.Minute)).Count("n")
	}))
	in := topologytest.Input(d, "in", codecs.String, codecs.String)
	in.Pipe("b", "", 10)
	in.Pipe("a", "", 20)
	in.Pipe("a", "", 1500)
	require.Equal(t, []state.WindowEntry[string, int64]{
		{Key: "a", Window: state.Window{Start: 0, End: 1000}, Value: 1, Timestamp: 20},
		{Key: "a", Window: state.Window{Start: 1000, End: 2000}, Value: 1, Timestamp: 1500},
		{Key: "b", Window: state.Window{Start: 0, End: 1000}, Value: 1, Timestamp: 10},
	}, topologytest.Windows(d, "n", codecs.String, codecs.Int64))
}

func TestSessions(t *testing.T) {
	d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
		topology.Source(b, "in", codecs.String, codecs.String).GroupByKey().
			WindowedBySessions(topology.Sessions(time.Second).Retention(time.Minute)).Count("n")
	}))
	in := topologytest.Input(d, "in", codecs.String, codecs.String)
	in.Pipe("b", "", 10)
	in.Pipe("a", "", 20)
	in.Pipe("a", "", 1500)
	in.Pipe("b", "", 1000)
	require.Equal(t, []state.SessionEntry[string, int64]{
		{Key: "a", Session: state.Session{Start: 20, End: 20}, Value: 1, Timestamp: 20},
		{Key: "a", Session: state.Session{Start: 1500, End: 1500}, Value: 1, Timestamp: 1500},
		{Key: "b", Session: state.Session{Start: 10, End: 1000}, Value: 2, Timestamp: 1000},
	}, topologytest.Sessions(d, "n", codecs.String, codecs.Int64))
}

// failing is a TB that remembers how the test failed.
type failing struct{ message string }

func (*failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

func TestDriver_failsReadably(t *testing.T) {
	for want, misuse := range map[string]func(d *topologytest.Driver){
		`topology "airport" does not read topic "flights"`: func(d *topologytest.Driver) {
			topologytest.Input(d, "flights", codecs.String, codecs.String)
		},
		`topology "airport" does not write topic "flights"`: func(d *topologytest.Driver) {
			topologytest.Output(d, "flights", codecs.String, codecs.String)
		},
		`topology "airport" has no window store "routes"`: func(d *topologytest.Driver) {
			topologytest.Windows(d, "routes", codecs.String, codecs.String)
		},
		`topology "airport" has no sub-topology "flights"`: func(d *topologytest.Driver) { d.StreamTime("flights") },
		`pipe into "positions": sub-topology "routes": record "KL" -> "bad" @1: node "routes": ` +
			`topic "airport-by-flight-repartition" partition 0 offset 0: panic: bad position`: func(d *topologytest.Driver) {
			topologytest.Input(d, "positions", codecs.String, codecs.String).Pipe("KL", "bad", 1)
		},
		`output "out": record "KL" -> "a" @1: value: decode int64: 1 bytes, want 8`: func(d *topologytest.Driver) {
			topologytest.Input(d, "positions", codecs.String, codecs.String).Pipe("KL", "a", 1)
			topologytest.Output(d, "out", codecs.String, codecs.Int64).Drain()
		},
		`output "out": record "KL" -> "a" @1: key: decode int64: 2 bytes, want 8`: func(d *topologytest.Driver) {
			topologytest.Input(d, "positions", codecs.String, codecs.String).Pipe("KL", "a", 1)
			topologytest.Output(d, "out", codecs.Int64, codecs.String).Drain()
		},
	} {
		t.Run(want, func(t *testing.T) {
			f := &failing{}
			d := topologytest.NewDriver(f, build(t, routes))
			require.PanicsWithValue(t, f, func() { misuse(d) })
			require.Equal(t, want, f.message)
		})
	}
	require.PanicsWithValue(t, "like this", func() { topologytest.Example().Fatalf("like %s", "this") })
	d, _, _ := start(t)
	require.EqualError(t, d.PipeRaw("flights", engine.RawRecord{}), `topic "flights" is read by no part of the topology`)
}

// refusing is a codec that encodes nothing.
type refusing struct{ codecs.Codec[string] }

func (refusing) Append(dst []byte, _ string) ([]byte, error) { return dst, errors.New("refused") }

func TestInput_encodeErrors(t *testing.T) {
	d, _, _ := start(t)
	no := refusing{codecs.String}
	require.EqualError(t, topologytest.Input(d, "positions", codecs.Codec[string](no), codecs.String).TryPipe(record{}), "key: refused")
	require.EqualError(t, topologytest.Input(d, "positions", codecs.String, codecs.Codec[string](no)).TryPipe(record{}), "value: refused")
}

// The scripts here try the commands themselves; those of package topology tell what operators do.
func TestRunScripts(t *testing.T) {
	topologytest.RunScripts(t, "testdata/scripts", map[string]topologytest.Scenario{
		"routes": {Define: routes},
		"numbers": {
			Define: func(b *topology.Builder) {
				topology.Source(b, "in", codecs.Int64, codecs.JSON[map[string]int]()).
					GroupByKey().WindowedBy(topology.Tumbling(time.Second)).Count("n").
					ToStream(topology.WithWindow).
					To("out", topology.TimeWindowedCodec(codecs.Int64, time.Second), codecs.Int64)
			},
			Formats: map[string]topologytest.Format{
				"in": {Key: topologytest.TextOf(codecs.Int64), Value: topologytest.TextOf(codecs.JSON[map[string]int]())},
				"n":  {Key: topologytest.TextOf(codecs.Int64), Value: topologytest.TextOf(codecs.Int64)},
				"out": {
					Key:   topologytest.TextOf(topology.TimeWindowedCodec(codecs.Int64, time.Second)),
					Value: topologytest.TextOf(codecs.Int64),
				},
			},
		},
		"unreadable": {
			Define: func(b *topology.Builder) {
				topology.Source(b, "in", codecs.String, codecs.String).To("out", codecs.String, codecs.String)
			},
			Formats: map[string]topologytest.Format{"out": {Value: topologytest.TextOf(codecs.Int64)}},
		},
	})
}

func TestTextOf(t *testing.T) {
	_, err := topologytest.TextOf(codecs.Int64).Encode("seven")
	require.ErrorContains(t, err, `"seven" is no JSON of int64: `)
	data, err := topologytest.TextOf(codecs.Int64).Encode("7")
	require.NoError(t, err)
	text, err := topologytest.TextOf(codecs.Int64).Print(data)
	require.NoError(t, err)
	require.Equal(t, "7", text)
	_, err = topologytest.TextOf(codecs.JSON[any]()).Print([]byte("{"))
	require.Error(t, err)
}
