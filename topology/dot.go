package topology

import (
	"fmt"
	"strings"
)

// DOT returns the topology as a Graphviz graph: a box for each sub-topology, ellipses for operators, cylinders for stores,
// notes for topics.
func (t *Topology) DOT() string {
	var out strings.Builder
	line := func(depth int, format string, args ...any) {
		fmt.Fprintf(&out, "%s%s\n", strings.Repeat("\t", depth), fmt.Sprintf(format, args...))
	}
	line(0, "digraph %q {", t.name)
	line(1, "rankdir=LR")
	topics := make(map[string]bool)
	for _, n := range t.nodes {
		if n.topic != "" && !topics[n.topic] {
			topics[n.topic] = true
			line(1, "%q [label=%q shape=note]", "topic "+n.topic, n.topic)
		}
	}
	for _, sub := range t.subs {
		line(1, "subgraph %q {", "cluster "+sub.name)
		line(2, "label=%q", sub.name)
		for _, n := range sub.nodes {
			line(2, "%q", n.name)
			for _, s := range n.stores {
				if s.owner == n {
					line(2, "%q [label=%q shape=cylinder]", "store "+s.spec.Name, s.spec.Name)
				}
			}
		}
		line(1, "}")
	}
	for _, n := range t.nodes {
		for _, child := range n.children {
			line(1, "%q -> %q", n.name, child.name)
		}
		for _, s := range n.stores {
			from, to := n.name, "store "+s.spec.Name
			if s.owner != n {
				from, to = to, from
			}
			line(1, "%q -> %q [style=dashed]", from, to)
		}
		switch {
		case n.open != nil:
			line(1, "%q -> %q", "topic "+n.topic, n.name)
		case n.topic != "":
			line(1, "%q -> %q", n.name, "topic "+n.topic)
		}
	}
	line(0, "}")
	return out.String()
}
