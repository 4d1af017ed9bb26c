package state

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// heapItem is ordered by its rank; the pointer shows what the heap keeps alive.
type heapItem struct {
	rank int
	held *int
}

func newItemHeap() heap[heapItem] {
	return newHeap(func(a, b heapItem) int { return cmp.Compare(a.rank, b.rank) })
}

func TestHeap_empty(t *testing.T) {
	h := newItemHeap()
	_, ok := h.first()
	require.False(t, ok)
	h.order()
	h.clear()
	require.Empty(t, h.items)
}

// Whatever is pushed and popped in between, what comes first is what is least of what is there.
func TestHeap_comesInOrder(t *testing.T) {
	for seed := range uint64(20) {
		dice := rand.New(rand.NewPCG(seed, 1))
		h := newItemHeap()
		var want []int
		for range 1000 {
			if len(want) == 0 || dice.IntN(5) < 3 {
				rank := dice.IntN(200) // some are equal
				h.push(heapItem{rank: rank})
				want = append(want, rank)
				slices.Sort(want)
			} else {
				require.Equal(t, want[0], h.pop().rank, "seed %d", seed)
				want = want[1:]
			}
			first, ok := h.first()
			require.Equal(t, len(want) > 0, ok)
			if ok {
				require.Equal(t, want[0], first.rank, "seed %d", seed)
			}
			require.Len(t, h.items, len(want))
		}
	}
}

func TestHeap_order(t *testing.T) {
	for n := range 40 {
		h := newItemHeap()
		for _, rank := range rand.New(rand.NewPCG(uint64(n), 1)).Perm(n) {
			h.items = append(h.items, heapItem{rank: rank})
		}
		h.order()
		for want := range n {
			require.Equal(t, want, h.pop().rank, "of %d", n)
		}
	}
}

// What has left the heap is not kept alive by it.
func TestHeap_letsGo(t *testing.T) {
	h := newItemHeap()
	for rank := range 8 {
		h.push(heapItem{rank: rank, held: new(int)})
	}
	h.pop()
	left := h.items
	h.clear()
	for _, item := range left[:cap(left)] {
		require.Nil(t, item.held)
	}
}
