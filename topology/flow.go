package topology

import (
	"maps"
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// origins finds the external source topics whose records reach nodes.
type origins struct {
	known   map[*node]reach
	matched map[*node][]string // topics of sources with patterns, if they are known
}

// reach is a set of source topics. The records of direct topics come within the sub-topology, the records of derived
// topics through repartitions.
type reach struct{ direct, derived sourceTopics }

// sourceTopics are the topics of sources by name, and patterns by label. A pattern that is not resolved has no topics.
type sourceTopics map[string]*pattern // nil for a topic

// split returns the topics and the expressions, each in order.
func (s sourceTopics) split() (topics, expressions []string) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if p := s[name]; p != nil {
			expressions = append(expressions, p.text)
		} else {
			topics = append(topics, name)
		}
	}
	return topics, expressions
}

func newOrigins() *origins { return &origins{known: make(map[*node]reach)} }

// reaching returns the source topics whose records reach at least one of the nodes.
func (o *origins) reaching(nodes ...*node) reach {
	all := reach{direct: make(sourceTopics), derived: make(sourceTopics)}
	for _, n := range nodes {
		r := o.reachingOne(n)
		maps.Copy(all.direct, r.direct)
		maps.Copy(all.derived, r.derived)
	}
	return all
}

func (o *origins) reachingOne(n *node) reach {
	if r, ok := o.known[n]; ok {
		return r
	}
	sources := n.sourcesBefore()
	var derived []*node
	for _, source := range sources {
		derived = append(derived, source.upstreamSources()...)
	}
	r := reach{direct: o.topics(sources), derived: o.topics(walk(derived, (*node).upstreamSources))}
	o.known[n] = r
	return r
}

// topics returns the topics of those sources that are external.
func (o *origins) topics(sources []*node) sourceTopics {
	topics := make(sourceTopics)
	for _, source := range sources {
		if source.repartition != nil {
			continue
		}
		topics[source.input()] = source.pattern
		for _, topic := range o.matched[source] {
			topics[topic] = nil
		}
	}
	return topics
}

// upstreamSources returns the sources whose records reach the source n through its repartition, none if n is external.
func (n *node) upstreamSources() []*node {
	if n.repartition == nil {
		return nil
	}
	return n.repartition.sink.sourcesBefore()
}

// input names the input of a source: its topic, or its pattern.
func (n *node) input() string {
	if n.pattern != nil {
		return n.pattern.String()
	}
	return n.topic
}

// all returns the topics that reaching returns, direct and derived, in one sorted list. While patterns are not
// resolved, the list has their labels, too.
func (o *origins) all(nodes ...*node) []string {
	r := o.reaching(nodes...)
	all := maps.Clone(r.direct)
	maps.Copy(all, r.derived)
	if o.matched != nil {
		maps.DeleteFunc(all, func(_ string, p *pattern) bool { return p != nil })
	}
	return slices.Sorted(maps.Keys(all))
}

// sourcesBefore returns the sources of the sub-topology whose records lead to n: along arrows, and through the stores
// that operators read. For a source it returns only this source.
func (n *node) sourcesBefore() []*node {
	before := walk([]*node{n}, func(at *node) []*node {
		if at.isSource() {
			return nil
		}
		next := slices.Clone(at.parents)
		for _, store := range at.stores {
			next = append(next, store.writers()...)
		}
		return next
	})
	return slices.DeleteFunc(before, func(at *node) bool { return !at.isSource() })
}

// findFeeding determines which inputs of each sub-topology lead to which of its outputs. An internal topic that depends
// on the output itself, through a store that two operators share, is left out: waiting for it would mean waiting for
// the output itself.
func findFeeding(subs []*SubTopology) {
	after := make(map[string][]string) // internal topics that each of them leads to
	for _, sub := range subs {
		sub.feeding = make(map[string][]string)
		for _, n := range sub.nodes {
			if n.topic == "" || n.isSource() {
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

// findBehind determines which operators hold back what they send to each output of a sub-topology, and by how much it
// may be behind their stream times when it comes out: as much as they and the operators downstream hold back together,
// on the way where that is most.
func findBehind(sub *SubTopology) {
	sub.behind = make(map[string][]engine.Behind)
	for _, sink := range sub.nodes {
		if sink.topic == "" || sink.isSource() {
			continue
		}
		by := make(map[*node]int64)
		var visit func(n *node, after int64)
		visit = func(n *node, after int64) {
			after += n.behind
			if known, ok := by[n]; ok && known >= after {
				return
			}
			by[n] = after
			for _, parent := range n.parents {
				visit(parent, after)
			}
		}
		visit(sink, 0)
		for _, n := range sub.nodes {
			if by[n] > 0 && n.behind > 0 {
				sub.behind[sink.topic] = append(sub.behind[sink.topic], engine.Behind{Node: n, By: by[n]})
			}
		}
	}
}

// leadsTo reports whether one topic leads to another, or the two are the same.
func leadsTo(after map[string][]string, from, to string) bool {
	return slices.Contains(walk([]string{from}, func(at string) []string { return after[at] }), to)
}

func (s *SubTopology) tables(flow *origins) []state.TableRef {
	var refs []state.TableRef
	for _, n := range s.nodes {
		for _, store := range n.ownStores() {
			reach := flow.reaching(store.writers()...)
			ref := state.TableRef{Group: s.Group(), Topic: s.TableTopic(), Store: store.spec}
			ref.Direct, ref.DirectMatching = reach.direct.split()
			ref.Derived, ref.DerivedMatching = reach.derived.split()
			refs = append(refs, ref)
		}
	}
	return refs
}
