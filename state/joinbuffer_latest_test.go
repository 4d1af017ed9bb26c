package state_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

func newRecent(t *testing.T, part state.Partition, budget *state.Budget) *state.JoinBuffer[string, string] {
	t.Helper()
	spec := state.Spec{Name: "joined", Kind: state.JoinKind, Retention: time.Second}
	s, err := state.NewJoinBuffer(spec, part, budget, codecs.String, codecs.String)
	require.NoError(t, err)
	return s
}

// fetched returns how many records FetchEncoded finds, and whether it had to read them.
func fetched(t *testing.T, s *state.JoinBuffer[string, string], key string, from, to int64) (n int, read bool) {
	t.Helper()
	before := s.Stats().Scans
	found, err := s.FetchEncoded(nil, []byte(key), from, to)
	require.NoError(t, err)
	return len(found), s.Stats().Scans > before
}

func commitJoin(t *testing.T, part state.Partition, s *state.JoinBuffer[string, string]) {
	t.Helper()
	var b state.Batch
	require.NoError(t, s.Flush(&b))
	require.NoError(t, part.Apply(&b))
	s.Committed()
}

// Recent records are found without a look at the partition: after a commit, a rollback and a restart too.
func TestJoinBuffer_recentIsInMemory(t *testing.T) {
	part := openMemory(t)
	s := newRecent(t, part, nil)
	put := func(key string, at int64) {
		t.Helper()
		_, err := s.Put(key, at, "v")
		require.NoError(t, err)
	}
	finds := func(want int, key string, from, to int64, wantRead bool) {
		t.Helper()
		n, read := fetched(t, s, key, from, to)
		require.Equal(t, want, n, "records of %q from %d to %d", key, from, to)
		require.Equal(t, wantRead, read, "%q from %d to %d is read", key, from, to)
	}
	for at := range int64(1000) {
		put("LH", at)
	}
	commitJoin(t, part, s)
	put("LH", 500)
	put("BA", 999)
	finds(1001, "LH", 0, 2000, false)
	finds(3, "LH", 499, 500, false)
	finds(1, "BA", 0, 2000, false)
	finds(0, "KL", 0, 2000, false)
	s.Rollback()
	finds(1000, "LH", 0, 2000, false)
	finds(0, "BA", 0, 2000, false)

	s.Close()
	s = newRecent(t, part, nil)
	s.Advance(1200)
	_, read := fetched(t, s, "LH", 0, 0)
	require.False(t, read, "nothing is read for what is too old")
	finds(800, "LH", 0, 2000, true) // reads all that is recent, once
	finds(800, "LH", 0, 2000, false)

	// What goes with time is read again only if a rollback has brought it back.
	commitJoin(t, part, s)
	_, err := s.Expire(700, 0)
	require.NoError(t, err)
	finds(300, "LH", 0, 2000, false)
	s.Rollback()
	finds(800, "LH", 0, 2000, true)
	finds(300, "LH", 700, 2000, false)
}

// With little memory only the last records are in it, or none; the others are read.
func TestJoinBuffer_littleMemory(t *testing.T) {
	part := openMemory(t)
	budget := state.NewBudget(50_000)
	s := newRecent(t, part, budget)
	for at := range int64(1000) {
		_, err := s.Put(fmt.Sprint(at%10), at, "v")
		require.NoError(t, err)
		if at%50 == 0 {
			commitJoin(t, part, s)
		}
		require.Less(t, budget.Used(), int64(55_000))
	}
	commitJoin(t, part, s)
	n, read := fetched(t, s, "5", 0, 1000)
	require.Equal(t, 100, n)
	require.True(t, read)
	n, read = fetched(t, s, "5", 940, 1000)
	require.Equal(t, 6, n)
	require.False(t, read)

	// Another store wants its share.
	other := newCounts(t, part, budget)
	for i := range int64(200) {
		require.NoError(t, other.Put(i, i, i))
	}
	used := budget.Used()
	commitJoin(t, part, s)
	require.Less(t, budget.Used(), used)
	n, _ = fetched(t, s, "5", 0, 1000)
	require.Equal(t, 100, n)

	// After a restart there is no room for all, and records come into memory again as they are put.
	s.Close()
	s = newRecent(t, part, state.NewBudget(1000))
	n, read = fetched(t, s, "5", 0, 1000)
	require.Equal(t, []any{100, true}, []any{n, read})
	_, err := s.Put("5", 1000, "v")
	require.NoError(t, err)
	n, _ = fetched(t, s, "5", 1000, 1000)
	require.Equal(t, 1, n)
}

// Whatever the budget, what is in memory is what Fetch reads.
func TestJoinBuffer_recentIsRight(t *testing.T) {
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 1))
		part := openMemory(t)
		budget := state.NewBudget([]int64{1, 20_000, 60_000, 0}[seed%4])
		s := newRecent(t, part, budget)
		now, inMemory := int64(0), 0
		for range 3000 {
			now += dice.Int64N(10)
			at := now - dice.Int64N(2)*dice.Int64N(1200)
			s.Advance(now)
			if _, err := s.Put(fmt.Sprint(dice.IntN(5)), at, "v"); err != nil {
				require.ErrorIs(t, err, state.ErrTooOld)
			}
			key, from := fmt.Sprint(dice.IntN(6)), now-dice.Int64N(1200)
			to := from + dice.Int64N(400)
			before := s.Stats().Scans
			got, err := s.FetchEncoded(nil, []byte(key), from, to)
			require.NoError(t, err)
			if s.Stats().Scans == before {
				inMemory++
			}
			i := 0
			for e, err := range s.Fetch(key, from, to) {
				require.NoError(t, err)
				require.Less(t, i, len(got), "seed %d", seed)
				got[i].Key = key
				require.Equal(t, e, got[i], "seed %d", seed)
				i++
			}
			require.Len(t, got, i, "seed %d", seed)
			switch dice.IntN(40) {
			case 0:
				commitJoin(t, part, s)
			case 1:
				_, err := s.Expire(now-1000, dice.IntN(20))
				require.NoError(t, err)
			case 2:
				s.Rollback()
			case 3:
				if dice.IntN(5) == 0 {
					s.Close()
					s = newRecent(t, part, budget)
				}
			}
		}
		t.Logf("seed %d: %d of 3000 in memory", seed, inMemory)
	}
}
