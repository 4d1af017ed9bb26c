package state_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// The count of the benchmarks: 8-byte keys, 8-byte values.
func newCounts(tb testing.TB, part state.Partition, budget *state.Budget) *state.KeyValue[int64, int64] {
	tb.Helper()
	s, err := state.NewKeyValue("counts", part, budget, codecs.Int64, codecs.Int64)
	require.NoError(tb, err)
	return s
}

// fillCounts commits rows for the keys 0 to n-1.
func fillCounts(tb testing.TB, part state.Partition, n int) {
	tb.Helper()
	s := newCounts(tb, part, nil)
	var b state.Batch
	for i := range n {
		require.NoError(tb, s.Put(int64(i), 1, 1))
		if i%100_000 == 99_999 || i == n-1 {
			b.Reset()
			require.NoError(tb, s.Flush(&b))
			require.NoError(tb, part.Apply(&b))
			s.Committed()
		}
	}
	s.Close()
}

// increment is what a count does for each record.
func increment(tb testing.TB, s *state.KeyValue[int64, int64], key []byte) {
	n, _, _, err := s.GetEncoded(key)
	if err == nil {
		err = s.PutEncoded(key, n+1, 5)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func encodedKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = binary.BigEndian.AppendUint64(nil, uint64(i)^1<<63)
	}
	return keys
}

func engines(b *testing.B, run func(b *testing.B, e state.Engine)) {
	b.Run("memory", func(b *testing.B) {
		e := state.NewMemory()
		run(b, e)
		require.NoError(b, e.Close())
	})
	b.Run("pebble", func(b *testing.B) {
		e, err := pebblestore.Open(b.TempDir(), pebblestore.Options{})
		require.NoError(b, err)
		run(b, e)
		require.NoError(b, e.Close())
	})
}

func BenchmarkKeyValueGetPut(b *testing.B) {
	const n = 100_000
	keys := encodedKeys(n)
	order := rand.New(rand.NewPCG(1, 1)).Perm(n)
	for _, cached := range []int{1000, n} {
		b.Run(fmt.Sprintf("cached/%d", cached), func(b *testing.B) {
			part, err := state.NewMemory().Open(0)
			require.NoError(b, err)
			fillCounts(b, part, cached)
			s := newCounts(b, part, nil)
			for _, key := range keys[:cached] {
				increment(b, s, key)
			}
			var key []byte
			rng := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				key = binary.BigEndian.AppendUint64(key[:0], uint64(rng.IntN(cached))^1<<63)
				increment(b, s, key)
			}
		})
	}
	b.Run("uncached", func(b *testing.B) {
		engines(b, func(b *testing.B, e state.Engine) {
			part, err := e.Open(0)
			require.NoError(b, err)
			fillCounts(b, part, n)
			require.NoError(b, e.Flush())
			// The budget holds a hundredth of the rows.
			s := newCounts(b, part, state.NewBudget(n*2))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				increment(b, s, keys[order[i%n]])
				if i%500 == 499 {
					s.Rollback()
				}
			}
		})
	})
}

// BenchmarkKeyValueCommit measures the whole write path per changed row: update, flush, apply.
func BenchmarkKeyValueCommit(b *testing.B) {
	const n, perCommit = 100_000, 20_000
	keys := encodedKeys(n)
	engines(b, func(b *testing.B, e state.Engine) {
		part, err := e.Open(0)
		require.NoError(b, err)
		s := newCounts(b, part, nil)
		rng := rand.New(rand.NewPCG(1, 1))
		var batch state.Batch
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			increment(b, s, keys[rng.IntN(n)])
			if i++; i == perCommit {
				i = 0
				batch.Reset()
				require.NoError(b, s.Flush(&batch))
				require.NoError(b, part.Apply(&batch))
				s.Committed()
			}
		}
	})
}

// BenchmarkKeyValueFlush measures Flush alone, per dirty row.
func BenchmarkKeyValueFlush(b *testing.B) {
	const n = 50_000
	part, err := state.NewMemory().Open(0)
	require.NoError(b, err)
	s := newCounts(b, part, nil)
	keys := encodedKeys(n)
	order := rand.New(rand.NewPCG(1, 1)).Perm(n)
	var batch state.Batch
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for _, i := range order {
			increment(b, s, keys[i])
		}
		batch.Reset()
		b.StartTimer()
		require.NoError(b, s.Flush(&batch))
		b.StopTimer()
		s.Rollback()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}

func BenchmarkWindowedGetPut(b *testing.B) {
	part, err := state.NewMemory().Open(0)
	require.NoError(b, err)
	spec := state.Spec{Name: "windows", Kind: state.WindowKind, WindowSize: 10 * time.Second}
	s, err := state.NewWindowed(spec, part, nil, codecs.Int64, codecs.Int64)
	require.NoError(b, err)
	const n = 100_000
	keys := encodedKeys(n)
	order := rand.New(rand.NewPCG(1, 1)).Perm(n)
	for _, key := range keys {
		require.NoError(b, s.PutEncoded(key, 10_000, 1, 1))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		key := keys[order[i%n]]
		v, _, _, err := s.GetEncoded(key, 10_000)
		if err == nil {
			err = s.PutEncoded(key, 10_000, v+1, 5)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPartitionGet reads rows that exist and rows that don't.
func BenchmarkPartitionGet(b *testing.B) {
	const n = 500_000
	engines(b, func(b *testing.B, e state.Engine) {
		part, err := e.Open(0)
		require.NoError(b, err)
		fillCounts(b, part, n)
		require.NoError(b, e.Flush())
		rng := rand.New(rand.NewPCG(1, 1))
		for name, delta := range map[string]string{"present": "", "absent": "x"} {
			b.Run(name, func(b *testing.B) {
				var dst, key, store []byte
				b.ReportAllocs()
				for b.Loop() {
					store = append(binary.BigEndian.AppendUint64(store[:0], uint64(rng.IntN(n))^1<<63), delta...)
					key = state.AppendRowKey(key[:0], "counts", store)
					value, ok, err := part.Get(dst[:0], key)
					if err != nil || ok != (delta == "") {
						b.Fatal(fmt.Errorf("%x: %v, %w", key, ok, err))
					}
					dst = value
				}
			})
		}
	})
}
