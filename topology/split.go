package topology

import "github.com/seed84377926/millrace/topology/engine"

// Split divides a stream into branches: each record goes to the first branch, in the order of the program, whose
// function returns true, and otherwise to the default branch. Without a default branch, a record that no branch takes
// goes nowhere (KIP-418).
//
//	split := flights.Split()
//	late := split.Branch(isLate, topology.Named("late"))
//	early := split.Branch(isEarly, topology.Named("early"))
//	others := split.Default()
type Split[K, V any] struct {
	stream   Stream[K, V]
	node     *node
	branches []branch[K, V]
	rest     *port[item[K, V]] // nil without a default branch
}

// branch is one branch of a Split.
type branch[K, V any] struct {
	takes func(it *item[K, V]) bool
	out   *port[item[K, V]]
}

// Split begins to divide the stream into branches. The result belongs to the goroutine of the builder.
func (s Stream[K, V]) Split(opts ...NodeOption) *Split[K, V] {
	n := s.graph().node("split", opts)
	split := &Split[K, V]{stream: s, node: n}
	link(s.out, n, split.open)
	return split
}

// Branch returns the stream of the records for which match returns true and that no earlier branch has taken. For a
// record with a null key, match gets the zero value. match is not called for a record with a null value: only
// [Split.BranchRecord] and [Split.Default] take such records.
func (s *Split[K, V]) Branch(match func(key K, value V) bool, opts ...NodeOption) Stream[K, V] {
	n := s.node.graph.node("branch", opts)
	n.require(match != nil, "function")
	return s.add(n, func(it *item[K, V]) bool { return !it.NullValue && match(it.Key, it.Value) })
}

// BranchRecord is [Split.Branch] for a function that sees the whole record, with null keys, null values, the timestamp
// and the headers.
func (s *Split[K, V]) BranchRecord(match func(r Record[K, V]) bool, opts ...NodeOption) Stream[K, V] {
	n := s.node.graph.node("branch", opts)
	n.require(match != nil, "function")
	return s.add(n, func(it *item[K, V]) bool { return match(it.Record) })
}

// Default returns the stream of the records that no branch takes, whether the branch is defined before or after this
// call. A split has at most one default branch.
func (s *Split[K, V]) Default(opts ...NodeOption) Stream[K, V] {
	n := s.node.graph.node("default-branch", opts)
	out := &port[item[K, V]]{node: n}
	switch {
	case s.rest != nil:
		n.graph.errorf(n, "the split has a default branch already, made at %s", s.rest.node.site)
	case n.addParent(s.node):
		s.rest = out
	}
	return Stream[K, V]{out: out, keys: s.stream.keys}
}

func (s *Split[K, V]) add(n *node, takes func(it *item[K, V]) bool) Stream[K, V] {
	out := &port[item[K, V]]{node: n}
	if n.addParent(s.node) {
		s.branches = append(s.branches, branch[K, V]{takes: takes, out: out})
	}
	return Stream[K, V]{out: out, keys: s.stream.keys}
}

// open returns the receiver of the records in the task of h.
func (s *Split[K, V]) open(h *engine.Host) receiver[item[K, V]] {
	next := make([]receiver[item[K, V]], len(s.branches))
	for i, b := range s.branches {
		next[i] = b.out.receiver(h)
	}
	rest := func(*item[K, V]) error { return nil }
	if s.rest != nil {
		rest = s.rest.receiver(h)
	}
	return func(it *item[K, V]) error {
		for i := range s.branches {
			h.Enter(s.branches[i].out.node)
			if s.branches[i].takes(it) {
				return next[i](it)
			}
		}
		return rest(it)
	}
}
