package topology_test

import (
	"testing"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// benchmarkJoin joins two streams of 1,000 records a second with 5,000 keys within 2 seconds, with a commit every 2,000
// records: nine of ten left records find the right one, which comes half a second later.
func benchmarkJoin(b *testing.B, join func(left, right numberStream) numberStream) {
	b.Helper()
	task, part := newTask(b, func(b *topology.Builder) {
		left := topology.Source(b, "left", codecs.Int64, codecs.Int64)
		right := topology.Source(b, "right", codecs.Int64, codecs.Int64)
		join(left, right).To("out", codecs.Int64, codecs.Int64)
	})
	const keys, delay = 5000, 500
	keysOf := records(b, keys, keys)
	var batch state.Batch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r, side := keysOf[i/2%keys], i%2
		if side == 1 {
			r = keysOf[(i/2+keys-delay)%keys]
			if i/2%10 == 0 {
				r = keysOf[(i/2+keys/2)%keys]
			}
		}
		r.Timestamp = int64(i / 2)
		if err := task.Process(side, &r); err != nil {
			b.Fatal(err)
		}
		if i%2000 < 1999 {
			continue
		}
		commit(b, task, part, &batch)
	}
}

func BenchmarkJoin(b *testing.B) {
	windows := topology.Within(2 * time.Second)
	b.Run("inner", func(b *testing.B) {
		benchmarkJoin(b, func(left, right numberStream) numberStream {
			return left.Join("joined", right, windows, func(l, r int64) int64 { return l + r }, codecs.Int64, codecs.Int64)
		})
	})
	b.Run("left", func(b *testing.B) {
		benchmarkJoin(b, func(left, right numberStream) numberStream {
			return left.LeftJoin("joined", right, windows, func(l int64, _ *int64) int64 { return l }, codecs.Int64, codecs.Int64)
		})
	})
	b.Run("outer", func(b *testing.B) {
		benchmarkJoin(b, func(left, right numberStream) numberStream {
			return left.OuterJoin("joined", right, windows, func(_, _ *int64) int64 { return 1 }, codecs.Int64, codecs.Int64)
		})
	})
}
