package state

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
)

func dirtyKeys(d *dirtyRows[int], lo, hi string) (keys []string) {
	var high []byte
	if hi != "" {
		high = []byte(hi)
	}
	c := d.cursor([]byte(lo), high)
	for r := c.peek(); r != nil; r = c.peek() {
		keys = append(keys, r.key)
		c.next(r)
	}
	return keys
}

// TestDirtyRows_order adds rows one by one and in bulk and looks at them in between.
func TestDirtyRows_order(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var d dirtyRows[int]
	var want []string
	for range 150 {
		n := 1 // often one row between two looks, sometimes many
		if rng.IntN(20) == 0 {
			n = rng.IntN(2000)
		}
		for range n {
			key := fmt.Sprintf("key-%x", rng.Uint32())
			d.add(&row[int]{key: key})
			want = append(want, key)
		}
		sort.Strings(want)
		lo, hi := fmt.Sprintf("key-%x", rng.Uint32()), fmt.Sprintf("key-%x", rng.Uint32())
		from := sort.SearchStrings(want, lo)
		to := max(from, sort.SearchStrings(want, hi))
		require.Len(t, dirtyKeys(&d, lo, hi), to-from)
		require.True(t, slices.Equal(want[from:to], dirtyKeys(&d, lo, hi)))
		require.Equal(t, len(want), d.n)
		for _, chunk := range d.chunks {
			require.NotEmpty(t, chunk)
			require.Less(t, len(chunk), maxChunk)
		}
	}
	n := 0
	d.each(func(*row[int]) { n++ })
	require.Equal(t, len(want), n)
	d.reset(nil)
	require.Empty(t, dirtyKeys(&d, "", ""))
	d.add(&row[int]{key: "a"})
	require.Equal(t, []string{"a"}, dirtyKeys(&d, "", ""))
}

// TestSortRows has keys that share long prefixes, that are prefixes of each other and that end in zeros.
func TestSortRows(t *testing.T) {
	keys := []string{"", "\x00", "\x00\x00", "a", "a\x00", "a\x00\x00", "aaaaaaaaaa", "aaaaaaaaab", "aaaaaaaa", "\xff"}
	for _, prefix := range []string{"", "a", "shared prefix \x00"} {
		var rows []*row[int]
		var want []string
		for _, key := range keys {
			rows = append(rows, &row[int]{key: prefix + key})
			want = append(want, prefix+key)
		}
		rand.New(rand.NewPCG(3, 4)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		sortRows(rows)
		sort.Strings(want)
		for i, r := range rows {
			require.Equal(t, want[i], r.key)
		}
	}
}

// TestCursor_changes adds rows while the cursor walks: those behind it come too late.
func TestCursor_changes(t *testing.T) {
	var d dirtyRows[int]
	for _, key := range []string{"b", "d", "f"} {
		d.add(&row[int]{key: key})
	}
	c := d.cursor(nil, []byte("g"))
	c.next(c.peek()) // b
	c.passed([]byte("c"))
	for _, key := range []string{"a", "bb", "c", "e", "g"} {
		d.add(&row[int]{key: key})
	}
	var rest []string
	for r := c.peek(); r != nil; r = c.peek() {
		rest = append(rest, r.key)
		c.next(r)
	}
	require.Equal(t, []string{"d", "e", "f"}, rest)
}
