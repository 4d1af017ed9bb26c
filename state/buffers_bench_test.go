package state_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// commitEvery commits once in n calls.
func commitEvery(b *testing.B, part state.Partition, s state.Store, i, n int, batch *state.Batch) {
	b.Helper()
	if i%n != n-1 {
		return
	}
	batch.Reset()
	if err := s.Flush(batch); err != nil {
		b.Fatal(err)
	}
	if err := part.Apply(batch); err != nil {
		b.Fatal(err)
	}
	s.Committed()
}

func newSuppressedCounts(b *testing.B, part state.Partition) *state.SuppressBuffer[int64, int64] {
	b.Helper()
	s, err := state.NewSuppressBuffer(state.Spec{Name: "s", Kind: state.SuppressKind}, part, nil, codecs.Int64, codecs.Int64)
	require.NoError(b, err)
	return s
}

// BenchmarkSuppressBufferPut updates keys that are buffered, with a look at what is due and at the bounds.
func BenchmarkSuppressBufferPut(b *testing.B) {
	const n = 100_000
	for _, bounds := range []string{"records", "bytes"} {
		b.Run(bounds, func(b *testing.B) {
			part, err := state.NewMemory().Open(0)
			require.NoError(b, err)
			s := newSuppressedCounts(b, part)
			keys := encodedKeys(n)
			order := rand.New(rand.NewPCG(1, 1)).Perm(n)
			for i, key := range keys {
				require.NoError(b, s.PutEncoded(key, int64(i), state.TableUpdate[int64]{Value: 1, HasValue: true}))
			}
			s.Bytes()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				err := s.PutEncoded(keys[order[i%n]], 5, state.TableUpdate[int64]{Value: int64(i), HasValue: true})
				first, _, errFirst := s.MinTime()
				if err != nil || errFirst != nil || first != 0 || s.Len() != n {
					b.Fatal(err, errFirst, first)
				}
				if bounds == "bytes" && s.Bytes() < n {
					b.Fatal(s.Bytes())
				}
			}
		})
	}
}

// BenchmarkSuppressBufferFull has a new key evict the oldest one at every record, with a commit every 20,000.
func BenchmarkSuppressBufferFull(b *testing.B) {
	const n = 100_000
	engines(b, func(b *testing.B, e state.Engine) {
		part, err := e.Open(0)
		require.NoError(b, err)
		s := newSuppressedCounts(b, part)
		var batch state.Batch
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := s.Put(int64(i), int64(i), state.TableUpdate[int64]{Value: 1, HasValue: true}); err != nil {
				b.Fatal(err)
			}
			if s.Len() > n {
				for e, err := range s.EvictWhile(func(int64) bool { return s.Len() > n }) {
					if err != nil || e.Key != int64(i-n) {
						b.Fatal(e, err)
					}
				}
			}
			commitEvery(b, part, s, i, 20_000, &batch)
		}
	})
}

// BenchmarkJoinBuffer is one side of a join of a second: a record is put, and the records of another key near it are
// looked for. 1,000 records come in a second; there is a commit every 2,000.
func BenchmarkJoinBuffer(b *testing.B) {
	const keys, perSecond = 10_000, 1000
	engines(b, func(b *testing.B, e state.Engine) {
		part, err := e.Open(0)
		require.NoError(b, err)
		spec := state.Spec{Name: "j", Kind: state.JoinKind, Retention: 5 * time.Second}
		s, err := state.NewJoinBuffer(spec, part, nil, codecs.Int64, codecs.Int64)
		require.NoError(b, err)
		var batch state.Batch
		var key []byte
		rng := rand.New(rand.NewPCG(1, 1))
		found := 0
		var near []state.JoinEntry[int64, int64]
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			at := int64(i) * 1000 / perSecond
			key = binary.BigEndian.AppendUint64(key[:0], uint64(rng.IntN(keys))^1<<63)
			if _, err := s.PutEncoded(key, at, 1); err != nil {
				b.Fatal(err)
			}
			key = binary.BigEndian.AppendUint64(key[:0], uint64(rng.IntN(keys))^1<<63)
			if near, err = s.FetchEncoded(near[:0], key, at-1000, at+1000); err != nil {
				b.Fatal(err)
			}
			found += len(near)
			s.Advance(at)
			if i%2000 == 1999 {
				if _, err := s.Expire(at-5000, 0); err != nil {
					b.Fatal(err)
				}
			}
			commitEvery(b, part, s, i, 2000, &batch)
		}
		b.ReportMetric(float64(found)/float64(b.N), "found/op")
	})
}

// BenchmarkTimeQueue puts a record, removes every other one again as a match does, and takes out what is due.
func BenchmarkTimeQueue(b *testing.B) {
	engines(b, func(b *testing.B, e state.Engine) {
		part, err := e.Open(0)
		require.NoError(b, err)
		s, err := state.NewTimeQueue(state.Spec{Name: "q", Kind: state.QueueKind}, part, nil, codecs.Int64, codecs.Int64)
		require.NoError(b, err)
		var batch state.Batch
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			at := int64(i)
			place, err := s.Put(at%1000, at, state.LeftSide, 1)
			if err == nil && i%2 == 0 {
				_, err = s.Remove(at%1000, place)
			}
			if err != nil {
				b.Fatal(err)
			}
			if i%100 == 99 {
				for e, err := range s.Scan(at - 5000) {
					if err == nil {
						_, err = s.Remove(e.Key, e.QueuePlace)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			commitEvery(b, part, s, i, 2000, &batch)
		}
	})
}
