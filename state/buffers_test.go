package state_test

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

func first[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		return err
	}
	return nil
}

func always(int64) bool { return true }

func TestBuffers_failures(t *testing.T) {
	good := openMemory(t)
	filled := newSuppress(t, good)
	require.NoError(t, filled.Put("k", 1, state.TableUpdate[string]{}))
	commit(t, good, filled)
	broken := &countingPartition{Partition: good}
	s, j, q := newSuppress(t, broken), newJoin(t, broken), newQueue(t, broken)
	broken.err = bytes.ErrTooLarge
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"suppress: put", func() error { return s.Put("new", 1, state.TableUpdate[string]{}) }},
		{"suppress: get", func() error { _, _, err := s.Get("new"); return err }},
		{"suppress: first", func() error { _, _, err := s.MinTime(); return err }},
		{"suppress: evict", func() error { return first(s.EvictWhile(always)) }},
		{"suppress: open", func() error {
			_, err := state.NewSuppressBuffer(s.Spec(), broken, nil, codecs.String, codecs.String)
			return err
		}},
		{"join: put", func() error { _, err := j.Put("k", 9, "v"); return err }},
		{"join: fetch", func() error { return first(j.Fetch("k", 0, 1)) }},
		{"join: expire", func() error { _, err := j.Expire(5, 0); return err }},
		{"queue: put", func() error { _, err := q.Put("k", 1, state.LeftSide, "v"); return err }},
		{"queue: head", func() error { _, _, err := q.Head(); return err }},
		{"queue: scan", func() error { return first(q.Scan(5)) }},
		{"queue: remove", func() error { _, err := q.Remove("k", state.QueuePlace{}); return err }},
	} {
		require.ErrorIs(t, c.do(), bytes.ErrTooLarge, c.name)
		require.ErrorContains(t, c.do(), "store", c.name)
	}
	require.EqualValues(t, 1, s.Len(), "a change that failed changed nothing")
	require.Zero(t, s.DirtyBytes()+j.DirtyBytes()+q.DirtyBytes())
	broken.err = nil
	n := 0
	for e, err := range s.EvictWhile(always) {
		require.NoError(t, err)
		require.Equal(t, "k", e.Key)
		n++
	}
	require.Equal(t, 1, n, "an error is not remembered")
}

func TestBuffers_badRows(t *testing.T) {
	part := openMemory(t)
	var b state.Batch
	for _, key := range []string{"s\x00", "j\x00", "q\x00"} {
		b.Set([]byte(key), []byte("short"))
	}
	b.Set([]byte("q\x0012345678\x01no end"), []byte("12345678v"))
	b.Set([]byte("q\x0012345678\x01k\x00\x0112345678"), []byte("12345678bad"))
	b.SetLocal([]byte("\x01bad\x00short"), nil)
	require.NoError(t, part.Apply(&b))
	_, err := state.NewSuppressBuffer(state.Spec{Name: "s", Kind: state.SuppressKind}, part, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, `read store "s": totals: want two numbers`)
	_, err = newJoin(t, part).Put("k", 1, "v")
	require.ErrorContains(t, err, `read store "j": sequence number: 5 bytes`)
	q := newQueue(t, part)
	_, err = q.Put("k", 1, state.LeftSide, "v")
	require.ErrorContains(t, err, `read store "q": sequence number: 5 bytes`)
	require.ErrorIs(t, only(t, q.Scan(math.MaxInt64)), errBad)
	b.Reset()
	b.Delete([]byte("q\x0012345678\x01k\x00\x0112345678"))
	require.NoError(t, part.Apply(&b))
	require.ErrorContains(t, only(t, q.Scan(math.MaxInt64)), `scan store "q": queue key`)
	short, err := state.NewSuppressBuffer(state.Spec{Name: "bad", Kind: state.SuppressKind}, part, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	require.ErrorContains(t, only(t, short.EvictWhile(always)), `read store "bad" by time: local row`)

	// Keys and values that cannot be encoded.
	for _, do := range []func() error{
		func() error {
			s, err := state.NewSuppressBuffer(state.Spec{Name: "k", Kind: state.SuppressKind}, part, nil, badCodec{}, badCodec{})
			require.NoError(t, err)
			_, _, err = s.Get("bad")
			require.ErrorIs(t, err, errBad)
			return s.Put("bad", 1, state.TableUpdate[string]{})
		},
		func() error {
			j, err := state.NewJoinBuffer(state.Spec{Name: "k", Kind: state.JoinKind}, part, nil, badCodec{}, badCodec{})
			require.NoError(t, err)
			require.ErrorIs(t, only(t, j.Fetch("bad", 0, 1)), errBad)
			_, err = j.Put("bad", 1, "v")
			return err
		},
		func() error {
			q, err := state.NewTimeQueue(state.Spec{Name: "k", Kind: state.QueueKind}, part, nil, badCodec{}, badCodec{})
			require.NoError(t, err)
			_, err = q.Remove("bad", state.QueuePlace{})
			require.ErrorIs(t, err, errBad)
			_, err = q.Put("bad", 1, state.LeftSide, "v")
			return err
		},
	} {
		require.ErrorIs(t, do(), errBad)
	}
}

// TestSuppressBuffer_badValue has a value that cannot be encoded: it counts for nothing, and fails the flush.
func TestSuppressBuffer_badValue(t *testing.T) {
	s := newSuppress(t, openMemory(t))
	require.NoError(t, s.Put("good", 1, state.TableUpdate[string]{Value: "v", HasValue: true}))
	size := s.Bytes()
	for range 2 {
		require.NoError(t, s.Put("k", 1, state.TableUpdate[string]{Value: "bad", HasValue: true}))
		require.Equal(t, size, s.Bytes())
	}
	require.ErrorIs(t, s.Flush(new(state.Batch)), errBad)
	require.NoError(t, s.Put("k", 1, state.TableUpdate[string]{Value: "good", HasValue: true}))
	require.NoError(t, s.Flush(new(state.Batch)))
	s.Rollback()
	require.Zero(t, s.Bytes())
}

// TestSuppressBuffer_totalsOff has totals that a commit which was cut off left wrong: an empty buffer sets them right.
func TestSuppressBuffer_totalsOff(t *testing.T) {
	part := openMemory(t)
	var b state.Batch
	b.Set([]byte("s\x00"), []byte("\x80\x00\x00\x00\x00\x00\x00\x05"+"\x80\x00\x00\x00\x00\x00\x00\x50"))
	require.NoError(t, part.Apply(&b))
	s := newSuppress(t, part)
	require.EqualValues(t, 5, s.Len())
	require.NoError(t, s.Put("k", 1, state.TableUpdate[string]{}))
	n := 0
	for _, err := range s.EvictWhile(func(int64) bool { return s.Len() > 1 }) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 1, n)
	require.Equal(t, []int64{0, 0}, []int64{s.Len(), s.Bytes()})
	commit(t, part, s)
	require.NoError(t, s.Put("k", 1, state.TableUpdate[string]{}))
	require.EqualValues(t, 1, s.Len())
}

// TestBuffers_hotPath shows what costs no allocation and no read.
func TestBuffers_hotPath(t *testing.T) {
	part := &scanCounter{Partition: openMemory(t)}
	s, err := state.NewSuppressBuffer(state.Spec{Name: "s", Kind: state.SuppressKind}, part, nil, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	key := []byte("12345678")
	u := state.TableUpdate[int64]{Value: 1, HasValue: true}
	require.NoError(t, s.PutEncoded(key, 5, u))
	_, _, err = s.MinTime()
	require.NoError(t, err)
	scans := part.scans
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		u.Value++
		require.NoError(t, s.PutEncoded(key, 5, u))
		first, ok, err := s.MinTime()
		if err != nil || !ok || first != 5 || s.Len() != 1 || s.Bytes() == 0 {
			t.Fatal("another first entry", first, ok, err)
		}
	}))
	for e, err := range s.EvictWhile(func(place int64) bool { return place < 5 }) {
		t.Fatal("nothing is due", e, err)
	}
	require.Equal(t, scans, part.scans)

	q, err := state.NewTimeQueue(state.Spec{Name: "q", Kind: state.QueueKind}, part, nil, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	for e, err := range q.Scan(0) {
		t.Fatal("nothing is there", e, err)
	}
	place, err := q.Put(1, 10, state.LeftSide, 1)
	require.NoError(t, err)
	scans = part.scans
	for e, err := range q.Scan(9) {
		t.Fatal("nothing is due", e, err)
	}
	require.Equal(t, scans, part.scans, "the queue knows that nothing is due")
	removed, err := q.Remove(1, place)
	require.NoError(t, err)
	require.True(t, removed)
	require.Equal(t, scans, part.scans)
}

// TestSuppressBuffer_readsFew shows that a buffer reads no more of what it holds than it gives out.
func TestSuppressBuffer_readsFew(t *testing.T) {
	part := &countingPartition{Partition: openMemory(t)}
	s := newSuppress(t, part)
	const n = 10_000
	for i := range n {
		require.NoError(t, s.Put(fmt.Sprint(i), int64(i), state.TableUpdate[string]{}))
	}
	commit(t, part, s)
	s.Close()
	s = newSuppress(t, part)
	part.gets = 0
	for e, err := range s.EvictWhile(func(place int64) bool { return place < 10 }) {
		require.NoError(t, err)
		require.Less(t, e.Time, int64(10))
	}
	require.EqualValues(t, n-10, s.Len())
	require.Less(t, part.gets, 50)
}

// TestSuppressBuffer_matchesHeap compares what entries are charged with what they take.
func TestSuppressBuffer_matchesHeap(t *testing.T) {
	const n = 50_000
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	part, budget := openMemory(t), state.NewBudget(0)
	before := heap()
	s, err := state.NewSuppressBuffer(state.Spec{Name: "s", Kind: state.SuppressKind}, part, budget, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	for i := range int64(n) {
		require.NoError(t, s.Put(i, i, state.TableUpdate[int64]{Value: i, HasValue: true}))
	}
	require.NoError(t, s.Flush(new(state.Batch)))
	taken, charged := heap()-before, budget.Used()
	t.Logf("charged %d bytes an entry, took %d", charged/n, taken/n)
	require.InEpsilon(t, taken, charged, 0.5)
	runtime.KeepAlive(s)
}
