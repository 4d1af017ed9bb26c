package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

type (
	numberStream = topology.Stream[int64, int64]
	numberRecord = topology.Record[int64, int64]
)

func even(_, v int64) bool { return v%2 == 0 }
func twoOf(v int64, emit func(int64)) {
	emit(v)
	emit(v + 1)
}
func outNumbers(s numberStream) { s.To("out", codecs.Int64, codecs.Int64) }

// statelessChain is every kind of stateless operator in a row: two outputs for each record.
func statelessChain(s numberStream) {
	sum := int64(0)
	split := s.
		Filter(func(_, v int64) bool { return v >= 0 }).
		MapValues(func(v int64) int64 { return v + 1 }).
		FilterNot(func(_, v int64) bool { return v < 0 }).
		FlatMapValues(twoOf).
		Split()
	evens, odds := split.Branch(even), split.Default()
	outNumbers(evens.MapValues(func(v int64) int64 { return v * 2 }).
		Merge(odds).
		Peek(func(r numberRecord) { sum += r.Value }).
		Rekey(func(_, v int64) int64 { return v % 10 }))
}

// 0 allocs/op: chunks for encoded keys and values are the only memory that a stateless chain takes.
func BenchmarkStatelessChain(b *testing.B) { benchmark(b, numbers(b, statelessChain)) }

// statelessOperators returns a topology for each stateless operator: the operator alone before an output.
func statelessOperators() map[string]func(numberStream) {
	return map[string]func(numberStream){
		"source and sink": outNumbers,
		"filter":          func(s numberStream) { outNumbers(s.Filter(even)) },
		"filter-not":      func(s numberStream) { outNumbers(s.FilterNot(even)) },
		"filter-record":   func(s numberStream) { outNumbers(s.FilterRecord(func(r numberRecord) bool { return r.Value > 0 })) },
		"map":             func(s numberStream) { outNumbers(s.Map(func(k, v int64) (int64, int64) { return v, k })) },
		"map-values":      func(s numberStream) { outNumbers(s.MapValues(func(v int64) int64 { return v + 1 })) },
		"map-values-with-key": func(s numberStream) {
			outNumbers(s.MapValuesWithKey(func(k, v int64) int64 { return k + v }))
		},
		"map-record": func(s numberStream) { outNumbers(s.MapRecord(func(r numberRecord) numberRecord { return r })) },
		"flat-map": func(s numberStream) {
			outNumbers(s.FlatMap(func(k, v int64, emit func(k, v int64)) { emit(k, v); emit(v, k) }))
		},
		"flat-map-values": func(s numberStream) { outNumbers(s.FlatMapValues(twoOf)) },
		"flat-map-values-with-key": func(s numberStream) {
			outNumbers(s.FlatMapValuesWithKey(func(k, v int64, emit func(int64)) { twoOf(k+v, emit) }))
		},
		"flat-map-record": func(s numberStream) {
			outNumbers(s.FlatMapRecord(func(r numberRecord, emit func(numberRecord)) { emit(r); emit(r) }))
		},
		"split": func(s numberStream) {
			split := s.Split()
			outNumbers(split.Branch(even))
			outNumbers(split.BranchRecord(func(r numberRecord) bool { return r.Value%3 == 0 }))
			outNumbers(split.Default())
		},
		"merge":    func(s numberStream) { outNumbers(s.Merge(s.Filter(even))) },
		"peek":     func(s numberStream) { outNumbers(s.Peek(func(numberRecord) {})) },
		"for-each": func(s numberStream) { s.ForEach(func(numberRecord) {}) },
		"rekey":    func(s numberStream) { outNumbers(s.Rekey(func(_, v int64) int64 { return v })) },
		"partition-by": func(s numberStream) {
			s.To("out", codecs.Int64, codecs.Int64, topology.PartitionBy(func(_ numberRecord, n int32) int32 { return n - 1 }))
		},
		"multicast": func(s numberStream) {
			s.To("out", codecs.Int64, codecs.Int64, topology.Multicast(func(_ numberRecord, n int32, send func(int32)) { send(0); send(n - 1) }))
		},
		"to-dynamic": func(s numberStream) {
			s.ToDynamic(func(numberRecord) string { return "out" }, codecs.Int64, codecs.Int64)
		},
		"chain": statelessChain,
	}
}

// A record must not cost an allocation. A benchmark does not show this, since it rounds.
func TestStateless_allocatesNothing(t *testing.T) {
	for name, define := range statelessOperators() {
		t.Run(name, func(t *testing.T) {
			allocatesNothing(t, numbers(t, define))
		})
	}
	t.Run("timestamp-of", func(t *testing.T) {
		allocatesNothing(t, numbers(t, func(numberStream) {}, topology.TimestampOf(func(r numberRecord, _ int64) int64 { return r.Value })))
	})
}

func allocatesNothing(t *testing.T, task *engine.Task) {
	t.Helper()
	in := records(t, 1000, 10)
	const chunks = 2 // of encoded output, in 1000 records
	allocs := testing.AllocsPerRun(10, func() {
		for i := range in {
			if err := task.Process(0, &in[i]); err != nil {
				t.Fatal(err)
			}
		}
	})
	require.LessOrEqual(t, allocs, float64(chunks))
}
