package statetest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/seed84377926/millrace/state"
)

func testRows(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	wantRow(t, part, "a", nil)
	apply(t, part, func(b *state.Batch) {
		b.Set([]byte("a"), []byte("1"))
		b.Set([]byte("b"), []byte("2"))
	})
	wantRow(t, part, "a", []byte("1"))
	apply(t, part, func(b *state.Batch) {
		b.Set([]byte("a"), []byte("3"))
		b.Delete([]byte("b"))
		b.Delete([]byte("never there"))
	})
	wantRow(t, part, "a", []byte("3"))
	wantRow(t, part, "b", nil)
	equal(t, rows(t, part.Scan(nil, nil)), []pair{{"a", "3"}}, "all rows")
}

func testAnyBytes(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 1)
	keys := []string{"", "\x00", "\x00\x00", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "ab", "\xff", "\xff\xff", "\xff\xff\xff"}
	var want []pair
	apply(t, part, func(b *state.Batch) {
		for _, key := range keys {
			b.Set([]byte(key), []byte(key))
			want = append(want, pair{key, key})
		}
	})
	equal(t, rows(t, part.Scan(nil, nil)), want, "rows in key order")
	equal(t, rows(t, part.Scan([]byte{}, []byte{})), []pair(nil), "rows below the empty key")
	for _, key := range keys {
		wantRow(t, part, key, []byte(key))
	}
	apply(t, part, func(b *state.Batch) {
		b.Set([]byte("empty"), []byte{})
		b.Set([]byte("nil"), nil)
	})
	wantRow(t, part, "empty", []byte{})
	wantRow(t, part, "nil", []byte{})
	large := make([]byte, 3<<20)
	large[len(large)-1] = 7
	apply(t, part, func(b *state.Batch) { b.Set([]byte("large"), large) })
	wantRow(t, part, "large", large)
}

func testBatches(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	var b state.Batch
	b.Set([]byte("last wins"), []byte("1"))
	b.Set([]byte("deleted"), []byte("1"))
	b.Delete([]byte("back"))
	b.SetLocal([]byte("\x01local"), nil)
	b.Set([]byte("last wins"), []byte("2"))
	b.Delete([]byte("deleted"))
	b.Set([]byte("back"), []byte("1"))
	must(t, part.Apply(&b))
	b.Reset()
	b.Set([]byte("XXXXXXXXX"), []byte("overwrites the memory of the first batch"))
	b.Delete([]byte("XXXXXXXXX"))
	b.DeleteLocal([]byte("\x01not there"))
	must(t, part.Apply(&b))
	equal(t, rows(t, part.Scan(nil, nil)), []pair{{"\x01local", ""}, {"back", "1"}, {"last wins", "2"}}, "rows")
	must(t, part.Apply(new(state.Batch)))
}

func testOffsets(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 3)
	want := func(offset int64, ok bool) {
		t.Helper()
		got, gotOK := part.Offset()
		equal(t, []any{got, gotOK}, []any{offset, ok}, "offset")
	}
	want(0, false)
	apply(t, part, func(b *state.Batch) { b.Set([]byte("a"), []byte("1")) })
	want(0, false)
	apply(t, part, func(b *state.Batch) { b.SetOffset(0) })
	want(0, true)
	apply(t, part, func(b *state.Batch) { b.SetOffset(math.MaxInt64) })
	apply(t, part, func(b *state.Batch) { b.Set([]byte("a"), []byte("2")) })
	want(math.MaxInt64, true)
	apply(t, part, func(b *state.Batch) { b.SetOffset(-1) })
	want(-1, true)
	equal(t, rows(t, part.Scan(nil, nil)), []pair{{"a", "2"}}, "the offset is no row")
	other := openPartition(t, e, 4)
	if _, ok := other.Offset(); ok {
		t.Fatal("another partition has an offset")
	}
}

func testPartitions(t *testing.T, e state.Engine) {
	ids := func() []int32 {
		t.Helper()
		ps, err := e.Partitions()
		must(t, err)
		return ps
	}
	equal(t, len(ids()), 0, "partitions of an empty engine")
	for _, p := range []int32{state.MaxPartition, 0, 255, 256, 7} {
		part := openPartition(t, e, p)
		if p == 7 {
			continue
		}
		apply(t, part, func(b *state.Batch) {
			b.Set(nil, fmt.Append(nil, p))
			b.Set([]byte("\xff\xff\xff"), fmt.Append(nil, p))
		})
	}
	apply(t, openPartition(t, e, 300), func(b *state.Batch) { b.SetOffset(12) })
	equal(t, ids(), []int32{0, 255, 256, 300, state.MaxPartition}, "partitions")
	for _, p := range []int32{0, 255, 256, state.MaxPartition} {
		v := fmt.Sprint(p)
		equal(t, rows(t, openPartition(t, e, p).Scan(nil, nil)), []pair{{"", v}, {"\xff\xff\xff", v}}, "rows of partition %d", p)
	}
	for _, p := range []int32{-1, state.MaxPartition + 1, math.MaxInt32} {
		if _, err := e.Open(p); err == nil {
			t.Fatalf("partition %d can be opened", p)
		}
		if err := e.Drop(p); err == nil {
			t.Fatalf("partition %d can be dropped", p)
		}
	}
}

func testDrop(t *testing.T, e state.Engine) {
	parts := map[int32]state.Partition{}
	for p := range int32(3) {
		parts[p] = openPartition(t, e, p)
		apply(t, parts[p], func(b *state.Batch) {
			b.Set([]byte(""), []byte("1"))
			b.Set([]byte("\xff"), []byte("1"))
			b.SetLocal([]byte("\x01l"), []byte("1"))
			b.SetOffset(5)
		})
	}
	must(t, e.Drop(1))
	must(t, e.Drop(77))
	ps, err := e.Partitions()
	must(t, err)
	equal(t, ps, []int32{0, 2}, "partitions that are left")
	for _, part := range []state.Partition{parts[1], openPartition(t, e, 1)} {
		equal(t, len(rows(t, part.Scan(nil, nil))), 0, "rows of the dropped partition")
		if _, ok := part.Offset(); ok {
			t.Fatal("the dropped partition has an offset")
		}
	}
	equal(t, len(rows(t, parts[0].Scan(nil, nil))), 3, "rows of the partition before")
	equal(t, len(rows(t, parts[2].Scan(nil, nil))), 3, "rows of the partition after")
	apply(t, parts[1], func(b *state.Batch) { b.Set([]byte("a"), []byte("2")) })
	equal(t, rows(t, parts[1].Scan(nil, nil)), []pair{{"a", "2"}}, "rows written after the drop")
}

// testDropBesideReaders drops a partition in the middle of a scan. The scan still sees the old rows. A read that begins
// after the drop sees nothing, even within the scan.
func testDropBesideReaders(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 4)
	apply(t, part, func(b *state.Batch) {
		for i := range 100 {
			b.Set(fmt.Appendf(nil, "%03d", i), []byte("old"))
		}
	})
	n := 0
	for row, err := range part.Scan(nil, nil) {
		must(t, err)
		equal(t, string(row.Value), "old", "value of row %s", row.Key)
		if n++; n == 1 {
			must(t, e.Drop(4))
			wantRow(t, part, "000", nil)
			apply(t, part, func(b *state.Batch) { b.Set([]byte("000"), []byte("new")) })
		}
	}
	equal(t, n, 100, "rows of the scan")
	equal(t, rows(t, part.Scan(nil, nil)), []pair{{"000", "new"}}, "rows written after the drop")
	must(t, e.Drop(4))
	must(t, e.Drop(4))
	equal(t, len(rows(t, part.Scan(nil, nil))), 0, "rows after another drop")
}

func testRelease(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 2)
	apply(t, part, func(b *state.Batch) {
		b.Set([]byte("a"), []byte("1"))
		b.SetOffset(7)
	})
	must(t, e.Release(2))
	must(t, e.Release(2))
	must(t, e.Release(5))
	_, _, err := part.Get(nil, []byte("a"))
	wantClosed(t, "Get", err)
	wantClosed(t, "Apply", part.Apply(new(state.Batch)))
	again := openPartition(t, e, 2)
	wantRow(t, again, "a", []byte("1"))
	if offset, ok := again.Offset(); !ok || offset != 7 {
		t.Fatalf("offset %d, %v after the release, want 7", offset, ok)
	}
	must(t, e.Release(2))
	must(t, e.Drop(2))
	equal(t, len(rows(t, openPartition(t, e, 2).Scan(nil, nil))), 0, "rows of a partition dropped while it was released")
	for _, p := range []int32{-1, state.MaxPartition + 1} {
		if err := e.Release(p); err == nil {
			t.Fatalf("partition %d can be released", p)
		}
	}
}

func testClose(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	apply(t, part, func(b *state.Batch) { b.Set([]byte("a"), []byte("1")) })
	must(t, e.Flush())
	must(t, e.Close())
	must(t, e.Close())
	_, _, err := part.Get(nil, []byte("a"))
	wantClosed(t, "Get", err)
	var b state.Batch
	b.Set([]byte("a"), []byte("2"))
	wantClosed(t, "Apply", part.Apply(&b))
	n := 0
	for _, err := range part.Scan(nil, nil) {
		wantClosed(t, "Scan", err)
		n++
	}
	equal(t, n, 1, "errors of a scan")
	_, err = e.Open(1)
	wantClosed(t, "Open", err)
	_, err = e.Partitions()
	wantClosed(t, "Partitions", err)
	wantClosed(t, "Drop", e.Drop(0))
	wantClosed(t, "Release", e.Release(0))
	wantClosed(t, "Flush", e.Flush())
}

// testConcurrency has readers check that they see whole batches only.
func testConcurrency(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	const keys, versions = 50, 100
	write := func(version int) error {
		var b state.Batch
		for i := range keys {
			b.Set(fmt.Appendf(nil, "%02d", i), fmt.Append(nil, version))
		}
		b.SetOffset(int64(version))
		return part.Apply(&b)
	}
	must(t, write(0))
	done := make(chan struct{})
	errs := make(chan error, 4)
	var readers sync.WaitGroup
	for range cap(errs) {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				seen := map[string]int{}
				for row, err := range part.Scan(nil, nil) {
					if err != nil {
						errs <- err
						return
					}
					seen[string(row.Value)]++
				}
				if len(seen) != 1 {
					errs <- fmt.Errorf("a scan saw parts of batches: %v", seen)
					return
				}
				if _, ok, err := part.Get(nil, []byte("07")); err != nil || !ok {
					errs <- fmt.Errorf("get: %v, %w", ok, err)
					return
				}
				part.Offset()
			}
		})
	}
	for version := range versions {
		must(t, write(version))
	}
	close(done)
	readers.Wait()
	select {
	case err := <-errs:
		t.Fatal(err)
	default:
	}
}

// testEngineModel compares random batches with a map.
func testEngineModel(t *testing.T, e state.Engine) {
	rng := random(t)
	part := openPartition(t, e, 2)
	want := map[string]string{}
	var b state.Batch
	for step := range 150 {
		b.Reset()
		for range rng.IntN(60) {
			key := fmt.Sprint(rng.IntN(400))
			if rng.IntN(3) == 0 {
				b.Delete([]byte(key))
				delete(want, key)
			} else {
				value := fmt.Sprint(step)
				b.Set([]byte(key), []byte(value))
				want[key] = value
			}
		}
		must(t, part.Apply(&b))
		if step%30 == 29 {
			must(t, e.Flush())
		}
		lo, hi := fmt.Sprint(rng.IntN(400)), fmt.Sprint(rng.IntN(400))
		var wantRows []pair
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if lo <= key && key < hi {
				wantRows = append(wantRows, pair{key, want[key]})
			}
		}
		equal(t, rows(t, part.Scan([]byte(lo), []byte(hi))), wantRows, "step %d: rows from %q to %q", step, lo, hi)
		for range 5 {
			key := fmt.Sprint(rng.IntN(400))
			var value []byte
			if v, ok := want[key]; ok {
				value = []byte(v)
			}
			wantRow(t, part, key, value)
		}
	}
}
