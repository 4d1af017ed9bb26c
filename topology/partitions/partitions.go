// Package partitions derives how many partitions the internal topics of a topology have, and how many tasks run each of
// its sub-topologies, by the rules of Kafka Streams (docs/semantics.md, Partitions):
//
//   - Inputs that an operator brings together have the same number of partitions.
//   - A repartition topic has the number that the user gave it; else the number of the external inputs that it is brought
//     together with; else the largest number of tasks of the groups that write to it.
//   - A sub-topology has as many tasks as the largest of its inputs has partitions.
//
// The runtime and the test driver use it, so that both split a topology into the same tasks. The package is pure: the
// caller says how many partitions the external topics have.
package partitions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/seed84377926/millrace/topology"
)

// Sizes is the number of partitions of every topic and the number of tasks of every group.
type Sizes struct {
	Topics map[string]int32
	Groups map[string]int32
}

// Derive sets the sizes that follow from the sizes of the external topics, which the caller has put into Topics. A
// topic or group whose size does not follow yet stays without one.
func (s Sizes) Derive(subs []*topology.SubTopology) {
	for range subs { // the groups that write to a topic may come later in the list than its readers
		for _, sub := range subs {
			if s.Groups[sub.Group()] == 0 {
				s.size(sub)
			}
		}
	}
}

// size sets the number of tasks of one sub-topology and the partitions of its repartition inputs, if the sizes that
// they follow from are known.
func (s Sizes) size(sub *topology.SubTopology) {
	var tasks int32
	for _, inputs := range together(sub) {
		n := s.follow(inputs)
		if n <= 0 {
			return
		}
		for _, in := range inputs {
			if in.Repartition {
				s.Topics[in.Topic] = cmp.Or(in.Partitions, n)
			}
			tasks = max(tasks, s.Topics[in.Topic])
		}
	}
	s.Groups[sub.Group()] = tasks
}

// follow returns the number of partitions of inputs that an operator brings together, 0 if it is not known yet.
func (s Sizes) follow(inputs []topology.Input) int32 {
	for _, in := range inputs {
		if !in.Repartition {
			return s.Topics[in.Topic]
		}
	}
	for _, in := range inputs {
		if in.Partitions > 0 {
			return in.Partitions
		}
	}
	var n int32
	for _, in := range inputs {
		if in.Follows {
			continue
		}
		for _, group := range in.Upstream {
			if s.Groups[group] == 0 {
				return 0
			}
			n = max(n, s.Groups[group])
		}
	}
	return n
}

// Check finds inputs that an operator brings together although they have different numbers of partitions.
func (s Sizes) Check(sub *topology.SubTopology) (errs []error) {
	for _, c := range sub.Copartitions() {
		first, uneven := int32(0), false
		sizes := make([]string, len(c.Topics))
		for i, topic := range c.Topics {
			n := s.Topics[topic]
			sizes[i] = fmt.Sprintf("%s has %d partitions", topic, n)
			if n > 0 && first > 0 {
				uneven = uneven || n != first
			} else {
				first = max(first, n)
			}
		}
		if uneven {
			errs = append(errs, fmt.Errorf("sub-topology %s: the inputs of the %s at %s are not co-partitioned: %s; "+
				"recreate one of them, or repartition one of the streams", sub.Name(), c.Operator, c.Site, strings.Join(sizes, ", ")))
		}
	}
	return errs
}

// together returns the inputs of a sub-topology in sets: the inputs of a set must have the same number of partitions.
func together(sub *topology.SubTopology) [][]topology.Input {
	var parts [][]topology.Input
	for _, in := range sub.Inputs() {
		parts = append(parts, []topology.Input{in})
	}
	for _, c := range sub.Copartitions() {
		var joined []topology.Input
		parts = slices.DeleteFunc(parts, func(part []topology.Input) bool {
			concerned := slices.ContainsFunc(part, func(in topology.Input) bool { return slices.Contains(c.Topics, in.Topic) })
			if concerned {
				joined = append(joined, part...)
			}
			return concerned
		})
		parts = append(parts, joined)
	}
	return parts
}
