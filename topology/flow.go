package topology

import (
	"maps"
	"slices"
)

// origins finds the external source topics whose records reach nodes.
type origins struct {
	known   map[*node]reach
	matched map[*node][]string // topics of sources with patterns, if they are known
}

// reach is a set of source topics, by how their records come: within the sub-topology, or through repartitions.
type reach struct{ direct, derived map[string]bool }

func newOrigins() *origins { return &origins{known: make(map[*node]reach)} }

// of returns what reaches any of the nodes.
func (o *origins) of(nodes ...*node) reach {
	all := reach{direct: make(map[string]bool), derived: make(map[string]bool)}
	for _, n := range nodes {
		r := o.ofOne(n)
		maps.Copy(all.direct, r.direct)
		maps.Copy(all.derived, r.derived)
	}
	return all
}

func (o *origins) ofOne(n *node) reach {
	if r, ok := o.known[n]; ok {
		return r
	}
	r := reach{direct: make(map[string]bool), derived: make(map[string]bool)}
	var inner []*node // the sinks before the repartitions
	for _, source := range n.sourcesBefore() {
		if source.repartition == nil {
			o.add(r.direct, source)
		} else {
			inner = append(inner, source.repartition.sink)
		}
	}
	for seen := make(map[*node]bool); len(inner) > 0; {
		sink := inner[0]
		inner = inner[1:]
		if seen[sink] {
			continue
		}
		seen[sink] = true
		for _, source := range sink.sourcesBefore() {
			if source.repartition == nil {
				o.add(r.derived, source)
			} else {
				inner = append(inner, source.repartition.sink)
			}
		}
	}
	o.known[n] = r
	return r
}

// add adds the topics of an external source.
func (o *origins) add(topics map[string]bool, source *node) {
	if source.pattern == nil || o.matched == nil {
		topics[source.input()] = true
		return
	}
	for _, topic := range o.matched[source] {
		topics[topic] = true
	}
}

// input names what a source reads: its topic, or those that match its pattern.
func (n *node) input() string {
	if n.pattern != nil {
		return n.pattern.String()
	}
	return n.topic
}

func (r reach) all() []string {
	all := maps.Clone(r.direct)
	maps.Copy(all, r.derived)
	return slices.Sorted(maps.Keys(all))
}

// sourcesBefore returns the sources of the sub-topology of n whose records lead to n: along arrows, and through the stores that
// operators read. A source is the only one before itself.
func (n *node) sourcesBefore() []*node {
	var sources []*node
	seen := make(map[*node]bool)
	for next := []*node{n}; len(next) > 0; {
		at := next[0]
		next = next[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		if at.open != nil {
			sources = append(sources, at)
			continue
		}
		next = append(next, at.parents...)
		for _, store := range at.stores {
			next = append(next, store.writers()...)
		}
	}
	return sources
}

// findFeeding finds out which inputs of each sub-topology lead to which of its outputs. An internal topic that depends on the output
// itself, through a store that two operators share, is left out: it could say nothing that does not wait for itself.
func findFeeding(subs []*SubTopology) {
	after := make(map[string][]string) // internal topics that each of them leads to
	for _, sub := range subs {
		sub.feeding = make(map[string][]string)
		for _, n := range sub.nodes {
			if n.topic == "" || n.open != nil {
				continue
			}
			for _, source := range n.sourcesBefore() {
				if slices.Contains(sub.feeding[n.topic], source.input()) {
					continue
				}
				sub.feeding[n.topic] = append(sub.feeding[n.topic], source.input())
				if source.repartition != nil && n.repartition != nil {
					after[source.topic] = append(after[source.topic], n.topic)
				}
			}
		}
	}
	for _, sub := range subs {
		for output, inputs := range sub.feeding {
			inputs = slices.DeleteFunc(inputs, func(input string) bool { return leadsTo(after, output, input) })
			slices.Sort(inputs)
			sub.feeding[output] = inputs
		}
	}
}

// leadsTo says whether there is a way from one topic to another, or the two are the same.
func leadsTo(after map[string][]string, from, to string) bool {
	seen := make(map[string]bool)
	for next := []string{from}; len(next) > 0; {
		at := next[0]
		next = next[1:]
		if at == to {
			return true
		}
		if !seen[at] {
			seen[at] = true
			next = append(next, after[at]...)
		}
	}
	return false
}
