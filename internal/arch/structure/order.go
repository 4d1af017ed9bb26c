package main

import (
	"cmp"
	"slices"
)

// arrow says that from needs to.
type arrow struct{ from, to string }

func (a arrow) compare(b arrow) int {
	return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
}

// runUp returns the arrows that point backwards in the best order found, in which whatever needs comes before what it
// needs. The order starts from the greedy one of Eades, Lin and Smyth ("A fast and effective heuristic for the feedback
// arc set problem", 1993); then single nodes move to better places until none does.
func runUp(arrows []arrow) []arrow {
	order := improve(greedy(arrows), arrows)
	place := places(order)
	var up []arrow
	for _, a := range arrows {
		if place[a.from] > place[a.to] {
			up = append(up, a)
		}
	}
	return up
}

func places(order []string) map[string]int {
	place := make(map[string]int, len(order))
	for i, name := range order {
		place[name] = i
	}
	return place
}

// greedy takes away nodes that nobody needs (to the front), that need nobody (to the end), or else the one that needs
// the most beyond those that need it (to the front).
func greedy(arrows []arrow) []string {
	left := make(map[string]bool)
	for _, a := range arrows {
		left[a.from], left[a.to] = true, true
	}
	var front, end []string
	for len(left) > 0 {
		needs, needed := make(map[string]int), make(map[string]int)
		for _, a := range arrows {
			if left[a.from] && left[a.to] {
				needs[a.from]++
				needed[a.to]++
			}
		}
		var best string
		for name := range left {
			if best == "" || better(name, best, needs, needed) {
				best = name
			}
		}
		delete(left, best)
		if needs[best] == 0 {
			end = append(end, best)
		} else {
			front = append(front, best)
		}
	}
	slices.Reverse(end)
	return append(front, end...)
}

// better reports whether a is to be taken away before b.
func better(a, b string, needs, needed map[string]int) bool {
	rank := func(name string) int {
		switch {
		case needs[name] == 0:
			return 0
		case needed[name] == 0:
			return 1
		default:
			return 2
		}
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), -cmp.Compare(needs[a]-needed[a], needs[b]-needed[b]), cmp.Compare(a, b)) < 0
}

// improve moves one node at a time to where the fewest arrows point backwards.
func improve(order []string, arrows []arrow) []string {
	needs, needed := make(map[string][]string), make(map[string][]string)
	for _, a := range arrows {
		needs[a.from] = append(needs[a.from], a.to)
		needed[a.to] = append(needed[a.to], a.from)
	}
	for moved := true; moved; {
		moved = false
		for _, name := range slices.Clone(order) {
			at := slices.Index(order, name)
			if to := bestPlace(order, at, needs[name], needed[name]); to != at {
				order = slices.Insert(slices.Delete(order, at, at+1), to, name)
				moved = true
			}
		}
	}
	return order
}

// bestPlace returns where the node at a place makes fewer arrows point backwards than anywhere else, and its place if
// there is no better one.
func bestPlace(order []string, at int, needs, needed []string) int {
	rest := slices.Delete(slices.Clone(order), at, at+1)
	cost := func(to int) int {
		place := places(rest)
		n := 0
		for _, name := range needs {
			if place[name] < to {
				n++
			}
		}
		for _, name := range needed {
			if place[name] >= to {
				n++
			}
		}
		return n
	}
	best, least := at, cost(at)
	for to := range len(order) {
		if c := cost(to); c < least {
			best, least = to, c
		}
	}
	return best
}
