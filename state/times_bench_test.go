package state_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// BenchmarkExpired has the oldest of 100,000 rows expire for each one that is put, with a commit every 20,000.
func BenchmarkExpired(b *testing.B) {
	const n = 100_000
	engines(b, func(b *testing.B, e state.Engine) {
		part, err := e.Open(0)
		require.NoError(b, err)
		spec := state.Spec{Name: "e", Kind: state.KeyValueKind, TTL: n * time.Millisecond}
		s, err := state.NewExpiring(spec, part, nil, codecs.Int64, codecs.Int64)
		require.NoError(b, err)
		var batch state.Batch
		b.ReportAllocs()
		for i := int64(0); b.Loop(); i++ {
			if err := s.Put(i, 1, i); err != nil {
				b.Fatal(err)
			}
			for e, err := range s.Expired(i - n) {
				if err != nil || e.Key != i-n-1 {
					b.Fatal(e, err)
				}
			}
			commitEvery(b, part, s, int(i), 20_000, &batch)
		}
	})
}

// BenchmarkEnded asks for the windows that ended since, as stream time moves on: there is one at every record, or none.
// There is a commit every 2,000.
func BenchmarkEnded(b *testing.B) {
	for name, size := range map[string]int64{"one": 1000, "none": 1 << 40} {
		b.Run(name, func(b *testing.B) {
			part := openMemory(b)
			spec := state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: time.Duration(size) * time.Millisecond}
			s, err := state.NewWindowed(spec, part, nil, codecs.Int64, codecs.Int64)
			require.NoError(b, err)
			var batch state.Batch
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				if err := s.Put(i, i, 1, i); err != nil {
					b.Fatal(err)
				}
				for e, err := range s.Ended(i-1, i) {
					if err != nil || e.Key != i-size {
						b.Fatal(e, err)
					}
				}
				if i%2000 == 1999 {
					if _, err := s.Expire(i); err != nil {
						b.Fatal(err)
					}
				}
				commitEvery(b, part, s, int(i), 2000, &batch)
			}
		})
	}
}
