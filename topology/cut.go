package topology

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/topology/engine"
)

// cut makes the topology: it splits the graph at repartitions into parts that are connected by arrows or shared stores.
func cut(g *graph, o builderOptions) (*Topology, error) {
	top := &Topology{name: g.app, nodes: g.nodes, late: &g.late, policies: o.policies, idle: o.idle}
	nameNodes(g)
	for _, n := range g.globals {
		top.globals = append(top.globals, Global{Name: n.name, Topic: n.topic})
	}
	parts := connected(g.nodes)
	groups := make(map[*node]string) // of every node
	for _, nodes := range parts {
		sub := &SubTopology{top: top, name: cmp.Or(chosenName(nodes), subName(nodes)), nodes: nodes}
		top.subs = append(top.subs, sub)
		for _, n := range nodes {
			groups[n] = sub.Group()
		}
	}
	flow := newOrigins()
	for _, sub := range top.subs {
		sub.fill(groups, flow)
	}
	for _, sub := range top.subs {
		top.tables = append(top.tables, sub.tables(flow)...)
	}
	findFeeding(top.subs)
	for _, sub := range top.subs {
		findBehind(sub)
		sub.copartition()
	}
	errs := slices.Concat(checkNames(top, g.globals), checkPartitions(top))
	for _, check := range g.checks {
		errs = append(errs, check())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	g.internal = top.internal
	return top, nil
}

// nameNodes names the nodes that the user did not.
func nameNodes(g *graph) {
	taken := make(map[string]bool)
	for name := range g.names {
		taken[name] = true
	}
	counts := make(map[string]int)
	for _, n := range g.nodes {
		switch {
		case n.name != "" && n.repartition == nil:
			continue
		case n.repartition != nil && n.repartition.sink == n:
			n.name = n.repartition.name + n.repartition.suffix + "-sink"
		case n.repartition != nil:
			n.name = n.repartition.name + n.repartition.suffix + "-source"
		case n.topic != "":
			n.name = n.kind + "-" + n.topic
		default:
			counts[n.kind]++
			n.name = fmt.Sprintf("%s-%d", n.kind, counts[n.kind])
		}
		for unique, i := n.name, 2; taken[n.name]; i++ {
			n.name = fmt.Sprintf("%s-%d", unique, i)
		}
		taken[n.name] = true
	}
}

// connected returns the parts of the graph, each in the order of its nodes, ordered by their first nodes.
func connected(nodes []*node) [][]*node {
	beside := make(map[*node][]*node)
	connect := func(a, b *node) { beside[a], beside[b] = append(beside[a], b), append(beside[b], a) }
	for _, n := range nodes {
		for _, parent := range n.parents {
			connect(n, parent)
		}
		for _, store := range n.stores {
			connect(n, store.owner) // and so all that write it
		}
	}
	var parts [][]*node
	part := make(map[*node]int)
	for _, n := range nodes {
		if _, ok := part[n]; !ok {
			for _, other := range walk([]*node{n}, func(at *node) []*node { return beside[at] }) {
				part[other] = len(parts)
			}
			parts = append(parts, nil)
		}
		parts[part[n]] = append(parts[part[n]], n)
	}
	return parts
}

// subName names a part after its first stateful operator that the user named, or else after its first source.
func subName(nodes []*node) string {
	for _, n := range nodes {
		if n.named && len(n.ownStores()) > 0 && !n.isIndex() {
			return n.name
		}
	}
	first := nodes[slices.IndexFunc(nodes, func(n *node) bool { return n.isSource() })]
	if first.repartition != nil {
		return first.repartition.name
	}
	if first.pattern != nil {
		return first.name
	}
	return first.topic
}

// fill sets inputs, outputs and stores.
func (s *SubTopology) fill(groups map[*node]string, flow *origins) {
	timed := false
	for _, n := range s.nodes {
		timed = timed || n.timed
		for _, store := range n.ownStores() {
			s.stores = append(s.stores, store.spec)
		}
		switch {
		case n.isSource():
			input := Input{Topic: n.topic, Start: n.start, Origins: flow.all(n)}
			if n.pattern != nil {
				input.Pattern = n.pattern.text
			}
			if r := n.repartition; r != nil {
				input.Repartition, input.Partitions, input.Upstream = true, r.partitions, []string{groups[r.sink]}
				input.Follows = r.follows
			}
			s.sources = append(s.sources, n)
			s.inputs = append(s.inputs, input)
		case n.topic != "" && !slices.Contains(s.outputs, n.topic):
			s.outputs = append(s.outputs, n.topic)
		case n.dynamic:
			s.dynamic = true
		}
	}
	if timed {
		s.stores = append(s.stores, engine.TimesSpec())
	}
}

// checkNames finds names that the cut made and that are not unique or too long.
func checkNames(top *Topology, globals []*node) []error {
	var errs []error
	groups := make(map[string]*SubTopology)
	internal := map[string]string{top.DescriptionTopic(): "the description of the topology"} // topic to what it is
	top.internal = internal
	claim := func(topic, what, site string) {
		if err := checkTopic(topic); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", site, what, err))
		}
		if other, ok := internal[topic]; ok {
			errs = append(errs, fmt.Errorf("%s: %s: its topic %q is also %s; choose another name", site, what, topic, other))
		}
		internal[topic] = what
	}
	for _, sub := range top.subs {
		first := sub.nodes[0]
		if other := groups[sub.name]; other != nil {
			errs = append(errs, fmt.Errorf("%s: sub-topology %q: the one that begins at %s has the same name; "+
				"choose another one with topology.InSubTopology", first.site, sub.name, other.nodes[0].site))
			continue
		}
		groups[sub.name] = sub
		claim(sub.TableTopic(), fmt.Sprintf("the changelog of sub-topology %q", sub.name), first.site)
		for _, n := range sub.nodes {
			if n.repartition != nil && n.repartition.sink == n {
				claim(n.topic, n.repartition.label(), n.site)
			}
		}
	}
	for _, n := range slices.Concat(top.nodes, globals) {
		if what, ok := internal[n.topic]; ok && n.repartition == nil {
			errs = append(errs, fmt.Errorf("%s: %s: topic %q is that of %s, which only the topology itself may use",
				n.site, n.label(), n.topic, what))
		}
	}
	return errs
}

// checkPartitions finds repartitions that an operator brings together and that want different numbers of partitions.
func checkPartitions(top *Topology) []error {
	var errs []error
	seen := make(map[*repartition]bool)
	for _, sub := range top.subs {
		for _, together := range sub.copartitions {
			var first *repartition
			for _, n := range sub.sources {
				r := n.repartition
				if r == nil || !r.counted || !slices.Contains(together.Topics, n.topic) {
					continue
				}
				if first == nil {
					first = r
				}
				if r.partitions != first.partitions && !seen[r] {
					seen[r] = true
					errs = append(errs, fmt.Errorf("%s: %s: %d partitions, but %s at %s has %d, and the %s at %s "+
						"brings them together; tasks read the same partition of both",
						n.site, r.label(), r.partitions, first.label(), first.sink.site, first.partitions, together.Operator, together.Site))
				}
			}
		}
	}
	return errs
}

// chosenName returns the name that the user chose for a part, "" if there is none. It records a mistake for each
// operator that gives another name than the first.
func chosenName(nodes []*node) string {
	var first *node
	for _, n := range nodes {
		switch {
		case n.sub == "":
		case first == nil:
			first = n
		case n.sub != first.sub:
			n.graph.errorf(n, "it is in sub-topology %q, as the %s at %s says, and cannot be in %q; a repartition between them would make two",
				first.sub, first.label(), first.site, n.sub)
		}
	}
	if first == nil {
		return ""
	}
	return first.sub
}
