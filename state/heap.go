package state

// heap is a binary heap: the item that compares lowest is on top.
type heap[E any] struct {
	items []E
	// compare is negative if a comes before b.
	compare func(a, b E) int
}

func newHeap[E any](compare func(a, b E) int) heap[E] { return heap[E]{compare: compare} }

// first returns the item on top, and false if there is none.
func (h *heap[E]) first() (e E, ok bool) {
	if len(h.items) == 0 {
		return e, false
	}
	return h.items[0], true
}

func (h *heap[E]) push(e E) {
	h.items = append(h.items, e)
	for i := len(h.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if h.compare(h.items[parent], h.items[i]) <= 0 {
			return
		}
		h.items[i], h.items[parent] = h.items[parent], h.items[i]
		i = parent
	}
}

// pop removes the item on top and returns it. The heap must not be empty.
func (h *heap[E]) pop() E {
	first, last := h.items[0], len(h.items)-1
	h.items[0] = h.items[last]
	clear(h.items[last:])
	h.items = h.items[:last]
	h.sink(0)
	return first
}

func (h *heap[E]) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			return
		}
		if child+1 < len(h.items) && h.compare(h.items[child+1], h.items[child]) < 0 {
			child++
		}
		if h.compare(h.items[i], h.items[child]) <= 0 {
			return
		}
		h.items[i], h.items[child] = h.items[child], h.items[i]
		i = child
	}
}

// order makes a heap of items in any order.
func (h *heap[E]) order() {
	for i := len(h.items)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}

func (h *heap[E]) clear() {
	clear(h.items)
	h.items = h.items[:0]
}
