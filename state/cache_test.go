package state_test

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/invariants"
	"github.com/seed84377926/millrace/state"
)

func openMemory(t testing.TB) state.Partition {
	t.Helper()
	e := state.NewMemory()
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	part, err := e.Open(0)
	require.NoError(t, err)
	return part
}

func commit(t testing.TB, part state.Partition, s state.Store) *state.Batch {
	t.Helper()
	if counting, ok := part.(*countingPartition); ok && invariants.Enabled {
		defer func(gets int) { counting.gets = gets }(counting.gets) // the checks of a commit read, too
	}
	b := new(state.Batch)
	require.NoError(t, s.Flush(b))
	require.NoError(t, part.Apply(b))
	s.Committed()
	return b
}

// countingPartition counts reads, and fails them if told to.
type countingPartition struct {
	state.Partition
	gets int
	err  error
}

func (p *countingPartition) Get(dst, key []byte) ([]byte, bool, error) {
	p.gets++
	if p.err != nil {
		return dst, false, p.err
	}
	return p.Partition.Get(dst, key)
}

func (p *countingPartition) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	if p.err != nil {
		return func(yield func(state.Row, error) bool) { yield(state.Row{}, p.err) }
	}
	return p.Partition.Scan(lo, hi)
}

func TestKeyValue_readsOnce(t *testing.T) {
	part := &countingPartition{Partition: openMemory(t)}
	s := newCounts(t, part, nil)
	get := func(key int64) {
		_, _, _, err := s.Get(key)
		require.NoError(t, err)
	}
	for range 3 {
		get(1) // rows that do not exist are cached as well
	}
	require.Equal(t, 1, part.gets)
	require.NoError(t, s.Put(2, 5, 5))
	get(2)
	require.NoError(t, s.Delete(3))
	get(3)
	require.Equal(t, 1, part.gets, "what was written need not be read")
	commit(t, part, s)
	get(1)
	get(2)
	get(3)
	require.Equal(t, 1, part.gets, "committed rows stay cached")
	require.NoError(t, s.Put(2, 6, 6))
	s.Rollback()
	get(1)
	require.Equal(t, 1, part.gets)
	get(2)
	require.Equal(t, 2, part.gets, "rows that were rolled back are read again")
}

func TestKeyValue_hotPathDoesNotAllocate(t *testing.T) {
	s := newCounts(t, openMemory(t), nil)
	key := []byte("12345678")
	increment(t, s, key)
	require.Zero(t, testing.AllocsPerRun(1000, func() { increment(t, s, key) }))

	spec := state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: time.Second}
	w, err := state.NewWindowed(spec, openMemory(t), nil, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	require.NoError(t, w.PutEncoded(key, 0, 1, 1))
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		n, _, _, err := w.GetEncoded(key, 0)
		require.NoError(t, err)
		require.NoError(t, w.PutEncoded(key, 0, n+1, 1))
	}))
}

func TestKeyValue_evicts(t *testing.T) {
	part := &countingPartition{Partition: openMemory(t)}
	const n = 10_000
	fillCounts(t, part, n)
	budget := state.NewBudget(200_000) // room for some thousand rows
	s := newCounts(t, part, budget)
	rng := rand.New(rand.NewPCG(1, 2))
	const hot = 200
	hotReads := 0
	for range 3 * n {
		key := int64(rng.IntN(n))
		if rng.IntN(2) == 0 {
			key = int64(rng.IntN(hot))
		}
		before := part.gets
		v, _, ok, err := s.Get(key)
		require.NoError(t, err)
		require.True(t, ok)
		require.EqualValues(t, 1, v)
		if key < hot {
			hotReads += part.gets - before
		}
		require.LessOrEqual(t, budget.Used(), budget.Limit()+1000)
	}
	require.Greater(t, budget.Used(), budget.Limit()*9/10, "the budget is used")
	require.Less(t, hotReads, 4*hot, "rows that are read often stay cached")
	require.Greater(t, part.gets, n, "the others do not")
}

// TestKeyValue_dirtyOverBudget writes more than the budget holds: nothing may be lost, and the budget says that a
// commit is due.
func TestKeyValue_dirtyOverBudget(t *testing.T) {
	part := openMemory(t)
	budget := state.NewBudget(100_000)
	s := newCounts(t, part, budget)
	require.False(t, budget.CommitDue())
	const n = 5000
	for i := range int64(n) {
		require.NoError(t, s.Put(i, i, i))
		if i == 10 {
			require.False(t, budget.CommitDue())
		}
	}
	require.True(t, budget.CommitDue())
	require.Greater(t, budget.Dirty(), budget.Limit())
	require.Equal(t, s.DirtyBytes(), budget.Used())
	require.Equal(t, n, commit(t, part, s).Len())
	require.False(t, budget.CommitDue())
	for i := range int64(n) {
		v, ts, ok, err := s.Get(i)
		require.NoError(t, err)
		require.Equal(t, []any{i, i, true}, []any{v, ts, ok})
	}
	// What was dirty is evicted as reads need the room.
	for i := range int64(4 * n) {
		_, _, _, err := s.Get(n + i)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, budget.Used(), budget.Limit()+1000)
}

// TestBudget_shared has one store hold everything when another one needs room.
func TestBudget_shared(t *testing.T) {
	const rows = 5000
	budget := state.NewBudget(400_000) // room for some two thousand rows
	parts := []*countingPartition{{Partition: openMemory(t)}, {Partition: openMemory(t)}}
	var stores []*state.KeyValue[int64, int64]
	for _, part := range parts {
		fillCounts(t, part, rows)
		stores = append(stores, newCounts(t, part, budget))
	}
	read := func(store, from, to int) (missed int) {
		before := parts[store].gets
		for i := from; i < to; i++ {
			_, _, _, err := stores[store].Get(int64(i))
			require.NoError(t, err)
		}
		return parts[store].gets - before
	}
	read(0, 0, rows)
	require.Greater(t, budget.Used(), budget.Limit()*9/10, "the first store has it all")
	read(1, 0, 800)
	require.Equal(t, 800, read(1, 0, 800), "the second one has only its minimum")
	for range 20 {
		stores[0].Committed()
		read(1, 0, 800)
	}
	require.Less(t, read(1, 0, 800), 80, "the first store gave back what was above its share")
	require.LessOrEqual(t, budget.Used(), budget.Limit()+1000)

	// Without anybody in need, a store keeps more than its share.
	used := budget.Used()
	for range 20 {
		stores[0].Committed()
		stores[1].Committed()
	}
	require.InDelta(t, used, budget.Used(), 100_000)
	stores[0].Close()
	stores[1].Close()
	require.Zero(t, budget.Used())
}

// TestBudget_matchesHeap compares what rows are charged with what they take.
func TestBudget_matchesHeap(t *testing.T) {
	if invariants.Enabled {
		t.Skip("it measures the stores alone, without a partition that holds what they have committed")
	}
	const rows = 50_000
	type passenger struct {
		Name, Seat string
		Bags       int
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	part := openMemory(t)
	commit := func(s state.Store) {
		require.NoError(t, s.Flush(new(state.Batch)))
		s.Committed()
	}
	check := func(name string, s state.Store, budget *state.Budget, before int64) {
		commit(s) // sizes are known after the first flush
		taken, charged := heap()-before, budget.Used()
		t.Logf("%s: charged %d bytes a row, took %d", name, charged/rows, taken/rows)
		require.InEpsilon(t, taken, charged, 0.5, name)
		runtime.KeepAlive(s)
	}

	before, budget := heap(), state.NewBudget(0)
	counts := newCounts(t, part, budget)
	for i := range int64(rows) {
		require.NoError(t, counts.Put(i, i, i))
	}
	check("counts", counts, budget, before)

	before, budget = heap(), state.NewBudget(0)
	people, err := state.NewKeyValue("people", part, budget, codecs.String, codecs.JSON[passenger]())
	require.NoError(t, err)
	for i := range int64(rows) {
		p := passenger{Name: fmt.Sprintf("passenger number %d", i), Seat: fmt.Sprint(i % 300), Bags: 1}
		require.NoError(t, people.Put(fmt.Sprintf("passenger-%d", i), p, i))
	}
	check("structs", people, budget, before)

	before, budget = heap(), state.NewBudget(0)
	spec := state.Spec{Name: "joined", Kind: state.JoinKind, Retention: time.Minute}
	joined, err := state.NewJoinBuffer(spec, part, budget, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	for i := range int64(rows) {
		_, err := joined.Put(i, i, i)
		require.NoError(t, err)
		if i%1000 == 0 {
			commit(joined)
		}
	}
	check("join buffer", joined, budget, before)

	before, budget = heap(), state.NewBudget(0)
	spec.Name = "joined-few"
	few, err := state.NewJoinBuffer(spec, part, budget, codecs.Int64, codecs.String)
	require.NoError(t, err)
	for i := range int64(rows) {
		_, err := few.Put(i%100, i, fmt.Sprintf("passenger number %d", i))
		require.NoError(t, err)
		if i%1000 == 0 {
			commit(few)
		}
	}
	check("join buffer of few keys", few, budget, before)
}

func TestBudget_defaults(t *testing.T) {
	require.EqualValues(t, 256<<20, state.NewBudget(0).Limit())
	require.EqualValues(t, 256<<20, state.NewBudget(-1).Limit())
	require.EqualValues(t, 5, state.NewBudget(5).Limit())
}

// badCodec fails on the value "bad".
type badCodec struct{}

var errBad = errors.New("bad value")

func (badCodec) Append(dst []byte, v string) ([]byte, error) {
	if v == "bad" {
		return dst, errBad
	}
	return append(dst, v...), nil
}

func (badCodec) Decode(data []byte) (string, error) {
	if string(data) == "bad" {
		return "", errBad
	}
	return string(data), nil
}

// only returns the error that a sequence yields, as its last and only element.
func only[T any](t *testing.T, seq iter.Seq2[T, error]) (err error) {
	t.Helper()
	n := 0
	for _, err = range seq {
		n++
	}
	require.Equal(t, 1, n)
	return err
}

func TestStores_codecErrors(t *testing.T) {
	part := openMemory(t)
	var b state.Batch
	b.Set(state.AppendRowKey(nil, "kv", []byte("a")), state.AppendRowValue(nil, 0, []byte("bad")))
	b.Set(state.AppendRowKey(nil, "short", []byte("a")), []byte("1234567"))
	b.Set(state.AppendRowKey(nil, "key", []byte("bad")), state.AppendRowValue(nil, 0, []byte("x")))
	spec := state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: time.Second}
	b.Set(state.AppendRowKey(nil, "w", state.AppendWindowKey(nil, []byte("a"), 0)), state.AppendRowValue(nil, 0, []byte("bad")))
	require.NoError(t, part.Apply(&b))

	kv, err := state.NewKeyValue("kv", part, nil, badCodec{}, badCodec{})
	require.NoError(t, err)
	reader := state.NewKeyValueReader("kv", badCodec{}, badCodec{})
	w, err := state.NewWindowed(spec, part, nil, badCodec{}, badCodec{})
	require.NoError(t, err)
	windows := state.NewWindowReader(spec, badCodec{}, badCodec{})
	bad := "bad"

	_, _, _, err = kv.Get("a")
	require.ErrorIs(t, err, errBad)
	require.ErrorContains(t, err, `read store "kv": key "a"`)
	require.ErrorIs(t, only(t, kv.Range(nil, nil)), errBad)
	_, _, _, err = reader.Get(part, "a")
	require.ErrorIs(t, err, errBad)
	require.ErrorContains(t, err, `read store "kv"`)
	require.ErrorIs(t, only(t, reader.Range(part, nil, nil)), errBad)
	_, _, _, err = w.Get("a", 0)
	require.ErrorIs(t, err, errBad)
	require.ErrorIs(t, only(t, w.Fetch("a", 0, 1)), errBad)
	_, _, _, err = windows.Get(part, "a", 0)
	require.ErrorIs(t, err, errBad)
	require.ErrorIs(t, only(t, windows.Fetch(part, "a", 0, 1)), errBad)

	var local state.Batch
	local.SetLocal([]byte("\x01w\x00"+"\x80\x00\x00\x00\x00\x00\x00\x00"+"a\x00\x01"), nil)
	local.SetLocal([]byte("\x01w\x00"+"\x80\x00\x00\x00\x00\x00\x00\x05"+"bad\x00\x01"), nil)
	local.SetLocal([]byte("\x01w\x00"+"\x80\x00\x00\x00\x00\x00\x00\x06"+"not there\x00\x01"), nil)
	local.SetLocal([]byte("\x01w\x00"+"\x80\x00\x00\x00\x00\x00\x00\x07"+"no end"), nil)
	require.NoError(t, part.Apply(&local))
	require.ErrorIs(t, only(t, windows.All(part, 0, 1)), errBad)
	require.ErrorIs(t, only(t, windows.All(part, 5, 6)), errBad)
	for _, err := range windows.All(part, 6, 7) {
		require.NoError(t, err)
		t.Fatal("a window without a row")
	}
	require.ErrorContains(t, only(t, windows.All(part, 7, 8)), "window key 6e6f")

	short, err := state.NewKeyValue("short", part, nil, badCodec{}, badCodec{})
	require.NoError(t, err)
	_, _, _, err = short.Get("a")
	require.ErrorContains(t, err, "7 bytes")
	keys, err := state.NewKeyValue("key", part, nil, badCodec{}, badCodec{})
	require.NoError(t, err)
	require.ErrorIs(t, only(t, keys.Range(nil, nil)), errBad)
	require.ErrorIs(t, only(t, state.NewKeyValueReader("key", badCodec{}, badCodec{}).Range(part, nil, nil)), errBad)

	// Keys that cannot be encoded.
	_, _, _, err = kv.Get(bad)
	require.ErrorIs(t, err, errBad)
	require.ErrorIs(t, kv.Put(bad, "v", 0), errBad)
	require.ErrorIs(t, kv.Delete(bad), errBad)
	require.ErrorIs(t, only(t, kv.Range(&bad, nil)), errBad)
	require.ErrorIs(t, only(t, kv.Range(nil, &bad)), errBad)
	_, _, _, err = reader.Get(part, bad)
	require.ErrorIs(t, err, errBad)
	require.ErrorIs(t, only(t, reader.Range(part, &bad, nil)), errBad)
	_, _, _, err = w.Get(bad, 0)
	require.ErrorIs(t, err, errBad)
	require.ErrorIs(t, w.Put(bad, 0, "v", 0), errBad)
	require.ErrorIs(t, w.Delete(bad, 0), errBad)
	require.ErrorIs(t, only(t, w.Fetch(bad, 0, 1)), errBad)
	_, _, _, err = windows.Get(part, bad, 0)
	require.ErrorIs(t, err, errBad)
	require.ErrorIs(t, only(t, windows.Fetch(part, bad, 0, 1)), errBad)

	// A value that cannot be encoded fails the flush, and nothing else.
	require.NoError(t, kv.Put("b", bad, 0))
	err = kv.Flush(new(state.Batch))
	require.ErrorIs(t, err, errBad)
	require.ErrorContains(t, err, `flush store "kv": key "b"`)
	kv.Rollback()
	require.NoError(t, kv.Flush(new(state.Batch)))
}

func TestStores_partitionErrors(t *testing.T) {
	broken := errors.New("broken")
	part := &countingPartition{Partition: openMemory(t), err: broken}
	s := newCounts(t, part, nil)
	_, _, _, err := s.Get(1)
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, only(t, s.Range(nil, nil)), broken)
	_, _, _, err = state.NewKeyValueReader("counts", codecs.Int64, codecs.Int64).Get(part, 1)
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, only(t, state.NewKeyValueReader("counts", codecs.Int64, codecs.Int64).Range(part, nil, nil)), broken)
	spec := state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: time.Second}
	w, err := state.NewWindowed(spec, part, nil, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	_, err = w.Expire(10_000)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, `expire store "w"`)
	part.err = nil
	_, _, _, err = s.Get(1)
	require.NoError(t, err, "an error is not cached")
	_, err = w.Expire(10_000)
	require.NoError(t, err)
}

// TestWindowed_expiredRowsLeaveTheCache checks that tombstones of expired windows are not kept, and that a window which
// came back in time is.
func TestWindowed_expiredRowsLeaveTheCache(t *testing.T) {
	part := &countingPartition{Partition: openMemory(t)}
	spec := state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: 10 * time.Millisecond}
	budget := state.NewBudget(100_000)
	w, err := state.NewWindowed(spec, part, budget, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	for key := range int64(10) {
		require.NoError(t, w.Put(key, 0, 1, 1))
	}
	commit(t, part, w)
	n, err := w.Expire(10)
	require.NoError(t, err)
	require.Equal(t, 10, n)
	require.NoError(t, w.Put(7, 0, 2, 2))
	commit(t, part, w)
	part.gets = 0
	v, _, ok, err := w.Get(7, 0)
	require.NoError(t, err)
	require.Equal(t, []any{int64(2), true, 0}, []any{v, ok, part.gets})
	require.Less(t, budget.Used(), int64(400), "one row is cached")
}

// scanCounter counts the scans of a partition.
type scanCounter struct {
	state.Partition
	scans int
}

func (p *scanCounter) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	p.scans++
	return p.Partition.Scan(lo, hi)
}

// TestWindowed_expireIsCheap checks that nothing is read if no window is old enough.
func TestWindowed_expireIsCheap(t *testing.T) {
	part := &scanCounter{Partition: openMemory(t)}
	spec := state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: 10 * time.Millisecond}
	w, err := state.NewWindowed(spec, part, nil, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	expire := func(before int64, want, scans int) {
		t.Helper()
		part.scans = 0
		n, err := w.Expire(before)
		require.NoError(t, err)
		require.Equal(t, want, n)
		require.Equal(t, scans, part.scans)
	}
	expire(0, 0, 1) // nobody knows what the partition holds
	expire(1000, 0, 0)
	for start := int64(1000); start < 2000; start += 10 {
		require.NoError(t, w.Put(1, start, 1, start))
	}
	expire(1009, 0, 0)
	expire(1010, 1, 1)
	expire(1019, 0, 0)
	commit(t, part, w)
	expire(1019, 0, 0)
	expire(1500, 49, 1)
	commit(t, part, w)
	expire(1509, 0, 0)
	require.NoError(t, w.Put(1, 900, 1, 900))
	expire(1500, 1, 1)

	// The ends of time.
	expire(math.MinInt64, 0, 0)
	require.NoError(t, w.Put(1, math.MaxInt64-5, 1, 0))
	for e, err := range w.Fetch(1, math.MaxInt64-5, math.MaxInt64) {
		require.NoError(t, err)
		require.Equal(t, state.Window{Start: math.MaxInt64 - 5, End: math.MaxInt64}, e.Window)
	}
	expire(math.MaxInt64, 50, 1)
}
