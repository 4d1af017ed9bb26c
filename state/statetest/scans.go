package statetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/seed84377926/millrace/state"
)

func testScans(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	apply(t, part, func(b *state.Batch) {
		for i := range 1000 {
			b.Set(fmt.Appendf(nil, "%04d", (i*7)%1000), []byte("v"))
		}
	})
	for _, test := range []struct {
		lo, hi string
		n      int
	}{
		{"", "9", 1000},
		{"0100", "0200", 100},
		{"01000", "0101", 0},
		{"0100", "01000", 1},
		{"0999", "9", 1},
		{"1", "2", 0},
		{"0500", "0400", 0},
		{"0500", "0500", 0},
	} {
		got := rows(t, part.Scan([]byte(test.lo), []byte(test.hi)))
		equal(t, len(got), test.n, "number of rows from %q to %q", test.lo, test.hi)
		if !slices.IsSortedFunc(got, func(a, b pair) int { return compare(a.key, b.key) }) {
			t.Fatalf("scan from %q to %q is not in order", test.lo, test.hi)
		}
	}
	scan := part.Scan([]byte("0990"), nil)
	equal(t, len(rows(t, scan)), 10, "rows with an open end")
	equal(t, len(rows(t, scan)), 10, "rows of the same sequence again")
	n := 0
	for _, err := range part.Scan(nil, nil) {
		must(t, err)
		if n++; n == 3 {
			break
		}
	}
	apply(t, part, func(b *state.Batch) {
		for i := range 1000 {
			if i%100 != 0 {
				b.Delete(fmt.Appendf(nil, "%04d", i))
			}
		}
	})
	equal(t, len(rows(t, part.Scan(nil, nil))), 10, "rows after most were deleted")
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func testSnapshots(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	apply(t, part, func(b *state.Batch) {
		for i := range 300 {
			b.Set(fmt.Appendf(nil, "%03d", i), []byte("old"))
		}
	})
	n := 0
	for row, err := range part.Scan(nil, nil) {
		must(t, err)
		equal(t, string(row.Value), "old", "value of row %s", row.Key)
		if n == 0 {
			apply(t, part, func(b *state.Batch) {
				for i := range 300 {
					b.Set(fmt.Appendf(nil, "%03d", i), []byte("new"))
				}
				b.Set([]byte("100a"), []byte("new"))
				b.Delete([]byte("200"))
			})
		}
		if n == 10 {
			wantRow(t, part, "200", nil)
			equal(t, len(rows(t, part.Scan(nil, nil))), 300, "rows of a scan within a scan")
		}
		n++
	}
	equal(t, n, 300, "rows of the scan")
}

func testSnapshot(t *testing.T, e state.Engine) {
	part := openPartition(t, e, 0)
	apply(t, part, func(b *state.Batch) { b.Set([]byte("a"), []byte("old")); b.Set([]byte("b"), []byte("old")) })
	failed := errors.New("failed")
	err := part.Snapshot(func(r state.Reader) error {
		apply(t, part, func(b *state.Batch) {
			b.Set([]byte("a"), []byte("new"))
			b.Delete([]byte("b"))
			b.Set([]byte("c"), nil)
		})
		value, ok, err := r.Get([]byte("dst:"), []byte("a"))
		must(t, err)
		equal(t, string(value), "dst:old", "a in the snapshot")
		equal(t, ok, true, "a in the snapshot")
		_, ok, err = r.Get(nil, []byte("c"))
		must(t, err)
		equal(t, ok, false, "c in the snapshot")
		equal(t, len(rows(t, r.Scan(nil, nil))), 2, "rows in the snapshot")
		equal(t, len(rows(t, r.Scan([]byte("b"), []byte("c")))), 1, "rows from b to c in the snapshot")
		return failed
	})
	equal(t, errors.Is(err, failed), true, "the error of the reader")
	wantRow(t, part, "b", nil)
	must(t, e.Release(0))
	err = part.Snapshot(func(state.Reader) error { return nil })
	equal(t, errors.Is(err, state.ErrClosed), true, "a snapshot of what is released: %v", err)
}
