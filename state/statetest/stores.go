package statetest

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

type (
	stringStore  = state.KeyValue[string, string]
	stringEntry  = state.Entry[string, string]
	windowStore  = state.Windowed[string, string]
	windowedRow  = state.WindowEntry[string, string]
	stringReader = state.KeyValueReader[string, string]
)

const windowSize = 10 // milliseconds

var windowSpec = state.Spec{ //nolint:gochecknoglobals // a constant
	Name: "windows", Kind: state.WindowKind, WindowSize: windowSize * time.Millisecond, Retention: time.Minute,
}

func newKeyValue(t testing.TB, part state.Partition, budget *state.Budget) *stringStore {
	t.Helper()
	s, err := state.NewKeyValue("store", part, budget, codecs.String, codecs.String)
	must(t, err)
	return s
}

func newWindowed(t testing.TB, part state.Partition, budget *state.Budget) *windowStore {
	t.Helper()
	s, err := state.NewWindowed(windowSpec, part, budget, codecs.String, codecs.String)
	must(t, err)
	return s
}

func wantValue(t testing.TB, s *stringStore, key, value string, timestamp int64) {
	t.Helper()
	v, ts, ok, err := s.Get(key)
	must(t, err)
	equal(t, []any{v, ts, ok}, []any{value, timestamp, true}, "value of %q", key)
}

func entry(key, value string, timestamp int64) stringEntry {
	return stringEntry{Key: key, Value: value, Timestamp: timestamp}
}

func wantNone(t testing.TB, s *stringStore, key string) {
	t.Helper()
	v, ts, ok, err := s.Get(key)
	must(t, err)
	equal(t, []any{v, ts, ok}, []any{"", int64(0), false}, "value of %q", key)
}

func testKeyValue(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	budget := state.NewBudget(10_000) // small budgets account exactly
	s := newKeyValue(t, part, budget)
	for _, key := range []string{"", "\x00", "a", "\xff"} {
		wantNone(t, s, key)
		must(t, s.Put(key, "value of "+key, 5))
		wantValue(t, s, key, "value of "+key, 5)
	}
	must(t, s.Put("empty", "", -3))
	wantValue(t, s, "empty", "", -3)
	must(t, s.Delete("a"))
	wantNone(t, s, "a")
	if s.DirtyBytes() == 0 || budget.Dirty() == 0 {
		t.Fatal("dirty rows take no memory")
	}
	commit(t, part, s)
	equal(t, s.DirtyBytes(), int64(0), "dirty bytes after the commit")
	// Another store of the same name sees the committed rows.
	other := newKeyValue(t, part, budget)
	wantValue(t, other, "", "value of ", 5)
	wantValue(t, other, "\xff", "value of \xff", 5)
	wantValue(t, other, "empty", "", -3)
	wantNone(t, other, "a")
	other.Close()
	s.Close()
	s.Close()
	equal(t, []int64{budget.Used(), budget.Dirty()}, []int64{0, 0}, "budget after Close")
}

func testKeyValueCommit(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newKeyValue(t, part, nil)
	must(t, s.Put("kept", "1", 1))
	must(t, s.Put("changed", "1", 1))
	must(t, s.Put("deleted", "1", 1))
	commit(t, part, s)

	// After a rollback, rows have their committed values.
	must(t, s.Put("changed", "2", 2))
	must(t, s.Delete("deleted"))
	must(t, s.Put("new", "2", 2))
	flush(t, s)
	must(t, s.Put("late", "2", 2))
	s.Rollback()
	equal(t, s.DirtyBytes(), int64(0), "dirty bytes after the rollback")
	wantValue(t, s, "kept", "1", 1)
	wantValue(t, s, "changed", "1", 1)
	wantValue(t, s, "deleted", "1", 1)
	wantNone(t, s, "new")
	wantNone(t, s, "late")
	equal(t, flush(t, s).Len(), 0, "rows to flush after the rollback")

	// Flushing twice gives the same rows: they stay dirty until they are committed.
	must(t, s.Put("changed", "3", 3))
	must(t, s.Delete("deleted"))
	equal(t, flush(t, s).Len(), 2, "rows of the first flush")
	equal(t, flush(t, s).Len(), 2, "rows of the second flush")

	// Rows changed between Flush and Committed stay dirty.
	b := flush(t, s)
	must(t, s.Put("changed", "4", 4))
	must(t, s.Put("new", "4", 4))
	must(t, s.Put("deleted", "4", 4))
	must(t, part.Apply(b))
	s.Committed()
	equal(t, flush(t, s).Len(), 3, "rows changed since the last flush")
	s.Rollback()
	wantValue(t, s, "changed", "3", 3)
	wantNone(t, s, "new")
	wantNone(t, s, "deleted")

	// A row that is added and deleted within one commit is never written, if the store knows that it did not exist
	// before.
	wantNone(t, s, "brief")
	must(t, s.Put("brief", "5", 5))
	must(t, s.Delete("brief"))
	must(t, s.Delete("new"))
	equal(t, flush(t, s).Len(), 0, "rows of a flush that changes nothing")
	// The store does not know that for keys that were never read.
	must(t, s.Delete("never read"))
	equal(t, flush(t, s).Len(), 1, "rows of a flush that deletes an unknown key")
}

func testKeyValueRange(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	// Rows of stores whose names are close by must not show up.
	for _, name := range []string{"stor", "store-2", "storf"} {
		near, err := state.NewKeyValue(name, part, nil, codecs.String, codecs.String)
		must(t, err)
		must(t, near.Put("a", "wrong", 0))
		must(t, near.Put("", "wrong", 0))
		commit(t, part, near)
	}
	s := newKeyValue(t, part, nil)
	for _, key := range []string{"", "b", "d", "f", "h"} {
		must(t, s.Put(key, "old", 1))
	}
	commit(t, part, s)
	s.Close()
	s = newKeyValue(t, part, nil)
	wantValue(t, s, "f", "old", 1) // one clean row is cached, the others are not
	must(t, s.Put("a", "new", 2))
	must(t, s.Put("d", "new", 2))
	must(t, s.Delete("b"))
	must(t, s.Delete("x"))
	must(t, s.Put("i", "new", 2))
	want := []stringEntry{
		entry("", "old", 1), entry("a", "new", 2), entry("d", "new", 2),
		entry("f", "old", 1), entry("h", "old", 1), entry("i", "new", 2),
	}
	equal(t, collect(t, s.Range(nil, nil)), want, "all rows")
	lo, hi := "a", "h"
	equal(t, collect(t, s.Range(&lo, &hi)), want[1:4], "rows from a to h")
	equal(t, collect(t, s.Range(nil, &lo)), want[:1], "rows below a")
	equal(t, collect(t, s.Range(&hi, nil)), want[4:], "rows from h")
	equal(t, len(collect(t, s.Range(&hi, &lo))), 0, "rows from h to a")
	commit(t, part, s)
	equal(t, collect(t, s.Range(nil, nil)), want, "all rows after the commit")

	r := state.NewKeyValueReader("store", codecs.String, codecs.String)
	equal(t, collect(t, r.Range(part, &lo, &hi)), want[1:4], "rows that a reader sees from a to h")
	equal(t, collect(t, r.Range(part, nil, nil)), want, "all rows that a reader sees")
	testPrefix(t, s, r, part)

	// The loop sees changes ahead of its position.
	var seen []string
	for e, err := range s.Range(nil, nil) {
		must(t, err)
		seen = append(seen, e.Key)
		switch e.Key {
		case "d":
			must(t, s.Put("c", "too late", 3))
			must(t, s.Put("g", "seen", 3))
			must(t, s.Delete("h"))
		case "i":
			must(t, s.Put("j", "seen", 3))
			must(t, s.Delete("i"))
		}
	}
	equal(t, seen, []string{"", "a", "d", "f", "g", "i", "j"}, "keys seen by a loop that changes the store")
}

func testPrefix(t *testing.T, s *stringStore, r *stringReader, part state.Partition) {
	t.Helper()
	for _, key := range []string{"p", "p1", "p\xff", "p\xff\xff", "q", "\xff\xff"} {
		must(t, s.Put(key, "p", 1))
	}
	commit(t, part, s)
	for prefix, n := range map[string]int{"p": 4, "p\xff": 2, "\xff": 1, "nope": 0, "": 12} {
		equal(t, len(collect(t, r.Prefix(part, []byte(prefix)))), n, "rows with prefix %q", prefix)
	}
	for _, key := range []string{"p", "p1", "p\xff", "p\xff\xff", "q", "\xff\xff"} {
		must(t, s.Delete(key))
	}
	commit(t, part, s)
}

func windowRowOf(key string, start int64, value string, timestamp int64) windowedRow {
	w := state.Window{Start: start, End: start + windowSize}
	return windowedRow{Key: key, Window: w, Value: value, Timestamp: timestamp}
}

func testWindowed(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newWindowed(t, part, nil)
	keys := []string{"", "\x00", "a", "a\x00", "a\x00\x01", "a\x00\xff", "ab", "\xff"}
	want := map[string][]windowedRow{}
	for _, start := range []int64{20, -10, 0, 10} {
		for _, key := range keys {
			must(t, s.Put(key, start, fmt.Sprint(key, start), start+1))
		}
	}
	for _, key := range keys {
		for start := int64(-10); start <= 20; start += windowSize {
			want[key] = append(want[key], windowRowOf(key, start, fmt.Sprint(key, start), start+1))
		}
	}
	check := func(when string) {
		t.Helper()
		r := state.NewWindowReader(windowSpec, codecs.String, codecs.String)
		for _, key := range keys {
			equal(t, collect(t, s.Fetch(key, -100, 100)), want[key], "%s: windows of %q", when, key)
			equal(t, collect(t, s.Fetch(key, 0, 20)), want[key][1:3], "%s: some windows of %q", when, key)
			equal(t, len(collect(t, s.Fetch(key, 20, 0))), 0, "%s: no windows of %q", when, key)
			if when == "committed" {
				equal(t, collect(t, r.Fetch(part, key, -100, 100)), want[key], "windows of %q that a reader sees", key)
				v, ts, ok, err := r.Get(part, key, 10)
				must(t, err)
				equal(t, []any{v, ts, ok}, []any{fmt.Sprint(key, 10), int64(11), true}, "window of %q that a reader sees", key)
			}
		}
		equal(t, len(collect(t, s.Fetch("b", -100, 100))), 0, "windows of a key without any")
	}
	check("dirty")
	commit(t, part, s)
	check("committed")
	s.Close()
	s = newWindowed(t, part, nil)
	check("committed")

	r := state.NewWindowReader(windowSpec, codecs.String, codecs.String)
	var byTime []windowedRow
	for _, start := range []int64{0, 10} {
		for _, key := range []string{"", "\x00", "a", "a\x00", "a\x00\x01", "a\x00\xff", "ab", "\xff"} {
			byTime = append(byTime, windowRowOf(key, start, fmt.Sprint(key, start), start+1))
		}
	}
	equal(t, collect(t, r.All(part, 0, 20)), byTime, "windows of all keys that a reader sees")
	equal(t, len(collect(t, r.All(part, 20, 0))), 0, "no windows of all keys")
	equal(t, len(collect(t, r.All(part, math.MinInt64, math.MaxInt64))), 4*len(keys), "all windows of all keys")

	// Dirty windows between, before and after committed ones.
	must(t, s.Put("a", 5, "between", 7))
	must(t, s.Delete("a", 0))
	must(t, s.Put("a", 20, "new", 29))
	must(t, s.Put("a", 30, "after", 30))
	equal(t, collect(t, s.Fetch("a", -10, 40)), []windowedRow{
		windowRowOf("a", -10, "a-10", -9),
		windowRowOf("a", 5, "between", 7),
		windowRowOf("a", 10, "a10", 11),
		windowRowOf("a", 20, "new", 29),
		windowRowOf("a", 30, "after", 30),
	}, "windows with dirty ones merged in")
	s.Rollback()
	check("rolled back")
}

// localRows counts the local rows of a batch.
func localRows(b *state.Batch) (n int) {
	for op := range b.Ops() {
		if op.Local {
			n++
		}
	}
	return n
}

func testExpire(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	s := newWindowed(t, part, nil)
	expire := func(before int64, want int) {
		t.Helper()
		n, err := s.Expire(before)
		must(t, err)
		equal(t, n, want, "windows expired before %d", before)
	}
	starts := func(key string) (starts []int64) {
		t.Helper()
		for _, row := range collect(t, s.Fetch(key, -1000, 1000)) {
			starts = append(starts, row.Window.Start)
		}
		return starts
	}
	expire(1000, 0)
	for start := int64(0); start < 100; start += windowSize {
		must(t, s.Put("a", start, "v", start))
		must(t, s.Put("b\x00", start, "v", start))
	}
	expire(9, 0)  // the first windows end at 10
	expire(10, 2) // dirty rows that were never flushed
	b := commit(t, part, s)
	equal(t, []int{b.Len() - localRows(b), localRows(b)}, []int{20, 20}, "rows and local rows of the batch")
	equal(t, len(rows(t, part.Scan(nil, nil))), 36, "rows of the partition")

	// A row that is known to have existed before needs no local row.
	s.Close()
	s = newWindowed(t, part, nil)
	must(t, s.Put("a", 50, "w", 51))
	b = commit(t, part, s)
	equal(t, []int{b.Len(), localRows(b)}, []int{2, 1}, "rows of the batch, with a local row since it was not known")
	must(t, s.Put("a", 50, "w", 52))
	b = commit(t, part, s)
	equal(t, []int{b.Len(), localRows(b)}, []int{1, 0}, "rows of the batch")

	// Committed rows, cached or not, dirty ones, and one deleted already.
	s.Close()
	s = newWindowed(t, part, nil)
	_, _, _, err := s.Get("a", 10)
	must(t, err)
	must(t, s.Put("a", 20, "w", 21))
	must(t, s.Delete("b\x00", 20))
	must(t, s.Put("c", 5, "v", 5))
	expire(30, 4)
	expire(30, 0)
	equal(t, starts("a"), []int64{30, 40, 50, 60, 70, 80, 90}, "windows left")
	equal(t, starts("c"), []int64(nil), "windows left")

	// After a rollback they exist again and expire again.
	s.Rollback()
	equal(t, starts("a"), []int64{10, 20, 30, 40, 50, 60, 70, 80, 90}, "windows after the rollback")
	expire(30, 4)
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 28, "rows of the partition")
	expire(35, 0)

	// A window that is put again after it expired is an ordinary window.
	must(t, s.Put("a", 0, "late", 40))
	expire(30, 1)
	must(t, s.Put("a", 0, "late", 40))
	equal(t, starts("a"), []int64{0, 30, 40, 50, 60, 70, 80, 90}, "windows left")
	commit(t, part, s)
	equal(t, starts("a"), []int64{0, 30, 40, 50, 60, 70, 80, 90}, "windows left")
	expire(1000, 15)
	commit(t, part, s)
	equal(t, len(rows(t, part.Scan(nil, nil))), 0, "rows of the partition")
}

// testRestore checks that the rows of the changelog alone bring back the whole partition.
func testRestore(t *testing.T, e state.Engine) {
	part, restored := openPartition(t, e, 0), openPartition(t, e, 1)
	layout, err := state.NewLayout(windowSpec, state.Spec{Name: "store", Kind: state.KeyValueKind})
	must(t, err)
	kv, w := newKeyValue(t, part, nil), newWindowed(t, part, nil)
	check := func(b *state.Batch) {
		t.Helper()
		replay(t, layout, restored, b)
		equal(t, rows(t, restored.Scan(nil, nil)), rows(t, part.Scan(nil, nil)), "rows restored")
	}
	for i := range int64(20) {
		must(t, w.Put(fmt.Sprint(i%3), i*windowSize, "v", i))
		must(t, kv.Put(fmt.Sprint(i), "", i))
	}
	check(commit(t, part, kv, w))
	_, err = w.Expire(50)
	must(t, err)
	must(t, kv.Delete("3"))
	check(commit(t, part, kv, w))
	// An expiry on the restored partition finds the rows by the restored time order.
	other := newWindowed(t, restored, nil)
	n, err := other.Expire(100)
	must(t, err)
	equal(t, n, 5, "windows expired after restore")
}
