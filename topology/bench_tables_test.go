package topology_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// tableTopologies are topologies on a table of numbers whose rows are cached once every key was seen.
func tableTopologies() map[string]func(s topology.Stream[int64, int64]) {
	num := codecs.Int64
	small := func(_, v int64) bool { return v >= 0 }
	plus := func(v, w int64) int64 { return v + w }
	table := func(s topology.Stream[int64, int64], opts ...topology.StoreOption) topology.Table[int64, int64] {
		return s.ToTable("rows", num, opts...)
	}
	return map[string]func(s topology.Stream[int64, int64]){
		"filter and map": func(s topology.Stream[int64, int64]) {
			table(s).Filter(small).MapValues(func(v int64) int64 { return v + 1 }).ToStream()
		},
		"materialize": func(s topology.Stream[int64, int64]) { table(s).Filter(small).Materialize("kept", num) },
		"join": func(s topology.Stream[int64, int64]) {
			table(s).Join(s.GroupByKey().Count("counts"), plus).Materialize("joined", num)
		},
		"outer join": func(s topology.Stream[int64, int64]) {
			table(s).OuterJoin(s.GroupByKey().Count("counts"), func(v, w *int64) int64 {
				if v == nil || w == nil {
					return 0
				}
				return *v + *w
			}).Materialize("joined", num)
		},
		"index": func(s topology.Stream[int64, int64]) {
			table(s).Index("by-size", func(_, v int64) (int64, bool) { return v / (1 << 60), true }, num)
		},
		"TTL": func(s topology.Stream[int64, int64]) { table(s, topology.TTL(time.Hour)).ToStream() },
	}
}

// Operators on tables allocate nothing for a record whose rows are cached.
func TestTables_allocateNothing(t *testing.T) {
	for name, define := range tableTopologies() {
		t.Run(name, func(t *testing.T) {
			task := numbers(t, define)
			in := records(t, 1000, 10)
			i := 0
			process := func() {
				if err := task.Process(0, &in[i%len(in)]); err != nil {
					t.Fatal(err)
				}
				i++
			}
			for range in {
				process()
			}
			require.Zero(t, testing.AllocsPerRun(500, process))
		})
	}
}

func BenchmarkTables(b *testing.B) {
	for name, define := range tableTopologies() {
		b.Run(name, func(b *testing.B) { benchmark(b, numbers(b, define)) })
	}
	b.Run("index that moves", func(b *testing.B) {
		benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
			s.ToTable("rows", codecs.Int64).Index("by-value", func(_, v int64) (int64, bool) { return v, true }, codecs.Int64)
		}))
	})
	b.Run("versioned", func(b *testing.B) {
		benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
			s.ToTable("rows", codecs.Int64, topology.Versioned(time.Second)).ToStream()
		}))
	})
	b.Run("group by and emit on commit", func(b *testing.B) {
		benchmark(b, numbers(b, func(s topology.Stream[int64, int64]) {
			byDigit := func(k, v int64) (int64, int64) { return k % 10, v }
			s.ToTable("rows", codecs.Int64).EmitOnCommit().GroupBy("by-digit", byDigit, codecs.Int64, codecs.Int64).Count("counts")
		}))
	})
}
