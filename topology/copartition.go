package topology

import "slices"

// copartition determines which inputs the operators bring together: the sources before the inputs of a join or another
// stateful operator, and the sources before the stores that it reads.
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

// bringsTogether reports whether n has several sides with equal keys. A store of an operator above n is no side of its
// own: it has the keys of the records that come from there.
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

// isBelow reports whether arrows lead from other to n.
func (n *node) isBelow(other *node) bool {
	return slices.Contains(walk(n.parents, func(at *node) []*node { return at.parents }), other)
}
