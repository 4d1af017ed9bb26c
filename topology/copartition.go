package topology

import "slices"

// copartition finds out which inputs the operators bring together: those before the inputs of a join or another operator
// with state, and before the stores that it reads.
func (s *SubTopology) copartition() {
	for _, n := range s.nodes {
		if !n.bringsTogether() {
			continue
		}
		together := Copartition{Operator: n.label(), Site: n.site}
		several := false
		for _, source := range n.sourcesBefore() {
			together.Topics = append(together.Topics, source.input())
			several = several || source.pattern != nil
		}
		slices.Sort(together.Topics)
		if len(together.Topics) > 1 || several {
			s.copartitions = append(s.copartitions, together)
		}
	}
}

// bringsTogether says whether n has several sides with equal keys. A store that somebody above n keeps is none: it has the
// keys of what comes from there.
func (n *node) bringsTogether() bool {
	sides := len(n.parents)
	if len(n.stores) == 0 {
		return false // it only merges them
	}
	for _, store := range n.stores {
		if store.owner != n && !n.isBelow(store.owner) {
			sides++
		}
	}
	return sides > 1
}

// isBelow says whether there is a way along arrows from other to n.
func (n *node) isBelow(other *node) bool {
	return slices.Contains(walk(n.parents, func(at *node) []*node { return at.parents }), other)
}
