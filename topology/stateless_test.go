package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// A panic names the operator whose function panicked, even if the function has emitted records before.
func TestStateless_panicNamesTheNode(t *testing.T) {
	name := topology.Named("here")
	fail := func() { panic("no such flight") }
	panicsHere(t, map[string]func(s topology.Stream[string, string]){
		"filter-not": func(s topology.Stream[string, string]) {
			s.FilterNot(func(_, _ string) bool { panic("no such flight") }, name)
		},
		"filter-record": func(s topology.Stream[string, string]) {
			s.FilterRecord(func(textRecord) bool { panic("no such flight") }, name)
		},
		"map": func(s topology.Stream[string, string]) {
			s.Map(func(_, _ string) (string, string) { panic("no such flight") }, name)
		},
		"map-values-with-key": func(s topology.Stream[string, string]) {
			s.MapValuesWithKey(func(_, _ string) string { panic("no such flight") }, name)
		},
		"map-record": func(s topology.Stream[string, string]) {
			s.MapRecord(func(textRecord) textRecord { panic("no such flight") }, name)
		},
		"flat-map": func(s topology.Stream[string, string]) {
			out(s.FlatMap(func(k, v string, emit func(string, string)) { emit(k, v); fail() }, name).Filter(notCancelled))
		},
		"flat-map-values": func(s topology.Stream[string, string]) {
			out(s.FlatMapValues(func(v string, emit func(string)) { emit(v); fail() }, name))
		},
		"flat-map-values-with-key": func(s topology.Stream[string, string]) {
			out(s.FlatMapValuesWithKey(func(_, v string, emit func(string)) { emit(v); fail() }, name))
		},
		"flat-map-record": func(s topology.Stream[string, string]) {
			out(s.FlatMapRecord(func(r textRecord, emit func(textRecord)) { emit(r); fail() }, name))
		},
		"branch": func(s topology.Stream[string, string]) {
			split := s.Split()
			split.Branch(func(_, _ string) bool { return false })
			split.Branch(func(_, _ string) bool { panic("no such flight") }, name)
		},
		"branch-record": func(s topology.Stream[string, string]) {
			s.Split().BranchRecord(func(textRecord) bool { panic("no such flight") }, name)
		},
		"peek":     func(s topology.Stream[string, string]) { s.Peek(func(textRecord) { fail() }, name) },
		"for-each": func(s topology.Stream[string, string]) { s.ForEach(func(textRecord) { fail() }, name) },
	})
}

// panicsHere checks that a panic of an operator named "here" is attributed to the record, and that the error names the
// operator.
func panicsHere(t *testing.T, operators map[string]func(s topology.Stream[string, string])) {
	t.Helper()
	for operator, define := range operators {
		t.Run(operator, func(t *testing.T) {
			d := topologytest.NewDriver(t, build(t, "app", func(b *topology.Builder) { define(flights(b)) }))
			err := topologytest.Input(d, "flights", codecs.String, codecs.String).TryPipe(textRecord{Key: "KL1001", Value: "boarding"})
			var failed *engine.RecordError
			require.ErrorAs(t, err, &failed)
			require.EqualError(t, failed, `node "here": topic "flights" partition 0 offset 0: panic: no such flight`)
		})
	}
}

// Any failure downstream of a function that emits fails the record, and nothing more of the record is processed.
func TestFlatMap_stopsAtAFailure(t *testing.T) {
	calls := 0
	b := topology.NewBuilder("app")
	flights(b).FlatMap(words).MapRecord(func(r textRecord) textRecord {
		calls++
		r.Timestamp = -1
		return r
	}, topology.Named("early"))
	top, err := b.Build()
	require.NoError(t, err)
	d := topologytest.NewDriver(t, top)
	err = topologytest.Input(d, "flights", codecs.String, codecs.String).TryPipe(textRecord{Key: "KL1001", Value: "a-b-c"})
	require.ErrorContains(t, err, `node "early"`)
	require.Equal(t, 1, calls)
}

func TestFlatMap_refusesALateEmit(t *testing.T) {
	var kept func(string)
	b := topology.NewBuilder("app")
	out(flights(b).FlatMapValues(func(_ string, emit func(string)) { kept = emit }))
	top, err := b.Build()
	require.NoError(t, err)
	d := topologytest.NewDriver(t, top)
	topologytest.Input(d, "flights", codecs.String, codecs.String).Pipe("KL1001", "boarding", 1)
	require.PanicsWithValue(t, "topology: emit called after the function that it was given to had returned", func() { kept("x") })
}

// A merge does not mix up the encodings of two codecs.
func TestMerge_ofTwoKeyCodecs(t *testing.T) {
	b := topology.NewBuilder("app")
	s, trains := flights(b), topology.Source(b, "trains", codecs.JSON[string](), codecs.String)
	s.To("flights-again", codecs.String, codecs.String)
	trains.To("trains-again", codecs.JSON[string](), codecs.String)
	out(s.Merge(trains))
	top, err := b.Build()
	require.NoError(t, err)
	d := topologytest.NewDriver(t, top)
	topologytest.Input(d, "flights", codecs.String, codecs.String).Pipe("KL1001", "boarding", 1)
	topologytest.Input(d, "trains", codecs.JSON[string](), codecs.String).Pipe("IC1", "boarding", 2)
	require.Equal(t, []textRecord{
		{Key: "KL1001", Value: "boarding", Timestamp: 1}, {Key: "IC1", Value: "boarding", Timestamp: 2},
	}, topologytest.Output(d, "out", codecs.String, codecs.String).Drain())
}
