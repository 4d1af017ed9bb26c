package state_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

func TestStats_countWhatAStoreDoes(t *testing.T) {
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	commit := func(s state.Store) {
		var b state.Batch
		require.NoError(t, s.Flush(&b))
		require.NoError(t, part.Apply(&b))
		s.Committed()
	}
	fill := newCounts(t, part, nil)
	require.NoError(t, fill.Put(1, 10, 1))
	require.NoError(t, fill.Put(1, 11, 1))
	require.NoError(t, fill.Delete(2))
	commit(fill)
	stats := fill.Stats()
	require.Positive(t, stats.CachedBytes)
	stats.CachedBytes = 0
	require.Equal(t, state.StoreStats{Store: "counts", Kind: state.KeyValueKind, Puts: 2, Deletes: 1, Flushed: 2, CachedRows: 2}, stats)
	fill.Close()

	cold := newCounts(t, part, nil)
	for range 3 {
		_, _, ok, err := cold.Get(1)
		require.NoError(t, err)
		require.True(t, ok)
	}
	for _, err := range cold.Range(nil, nil) {
		require.NoError(t, err)
	}
	require.NoError(t, cold.Put(3, 1, 1))
	stats = cold.Stats()
	require.Equal(t, int64(3), stats.Gets)
	require.Equal(t, int64(1), stats.Misses, "the first of three")
	require.Equal(t, int64(1), stats.Scans)
	require.Positive(t, stats.DirtyBytes)
	require.Equal(t, cold.DirtyBytes(), stats.DirtyBytes)
}

func TestStats_countRowsThatExpire(t *testing.T) {
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	windows, err := state.NewWindowed(
		state.Spec{Name: "windows", Kind: state.WindowKind, WindowSize: time.Second, Retention: time.Minute},
		part, nil, codecs.String, codecs.Int64)
	require.NoError(t, err)
	for start := range int64(3) {
		require.NoError(t, windows.Put("k", start*1000, 1, start*1000))
	}
	n, err := windows.Expire(2000)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Equal(t, int64(2), windows.Stats().Expired)
	require.Zero(t, windows.Stats().Deletes)

	ttl, err := state.NewExpiring(state.Spec{Name: "ttl", Kind: state.KeyValueKind, TTL: time.Second}, part, nil, codecs.String, codecs.Int64)
	require.NoError(t, err)
	require.NoError(t, ttl.Put("k", 1, 5))
	n, err = ttl.Expire(6)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, int64(1), ttl.Stats().Expired)
}

func TestStats_tellWhatASuppressBufferHolds(t *testing.T) {
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	s, err := state.NewSuppressBuffer(state.Spec{Name: "held", Kind: state.SuppressKind}, part, nil, codecs.String, codecs.Int64)
	require.NoError(t, err)
	for i, key := range []string{"a", "b", "a"} {
		require.NoError(t, s.Put(key, int64(i), state.TableUpdate[int64]{}))
	}
	require.Equal(t, int64(2), s.Stats().Entries)
	require.Equal(t, int64(3), s.Stats().Puts)
	bytes := s.Bytes()
	require.Positive(t, bytes)
	require.Equal(t, bytes, s.Stats().EntriesBytes)
	for _, err := range s.EvictWhile(func(int64) bool { return true }) {
		require.NoError(t, err)
	}
	require.Zero(t, s.Stats().Entries)
	require.Equal(t, int64(2), s.Stats().Deletes)
}
