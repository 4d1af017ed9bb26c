package describe

import (
	"fmt"
	"strings"
)

// DOT returns the topology as a Graphviz graph: a box for each sub-topology, ellipses for operators, cylinders for
// stores, notes for topics. Changelogs are not shown: a store stands for its changelog.
func (d Topology) DOT() string {
	var out strings.Builder
	line := func(depth int, format string, args ...any) {
		fmt.Fprintf(&out, "%s%s\n", strings.Repeat("\t", depth), fmt.Sprintf(format, args...))
	}
	line(0, "digraph %q {", d.Application)
	line(1, "rankdir=LR")
	for _, topic := range d.Topics {
		if topic.Kind != ChangelogTopic {
			line(1, "%q [label=%q shape=note]", "topic "+topic.Name, topic.Name)
		}
	}
	for _, g := range d.Globals {
		line(1, "%q [label=%q shape=cylinder]", "global "+g.Name, g.Name)
		line(1, "%q -> %q", "topic "+g.Topic, "global "+g.Name)
	}
	for _, sub := range d.SubTopologies {
		line(1, "subgraph %q {", "cluster "+sub.Name)
		line(2, "label=%q", sub.Name)
		for _, n := range sub.Nodes {
			line(2, "%q", n.Name)
		}
		for _, s := range sub.Stores {
			line(2, "%q [label=%q shape=cylinder]", "store "+s.Name, s.Name)
		}
		line(1, "}")
	}
	for _, sub := range d.SubTopologies {
		operators := make(map[string]string) // by store
		for _, s := range sub.Stores {
			operators[s.Name] = s.Operator
		}
		for _, n := range sub.Nodes {
			for _, child := range n.Children {
				line(1, "%q -> %q", n.Name, child)
			}
			for _, s := range n.Stores {
				from, to := n.Name, "store "+s
				if operators[s] != n.Name {
					from, to = to, from
				}
				line(1, "%q -> %q [style=dashed]", from, to)
			}
			for _, g := range n.Globals {
				line(1, "%q -> %q [style=dashed]", "global "+g, n.Name)
			}
			switch {
			case n.Topic == "":
			case n.Role == RoleSource:
				line(1, "%q -> %q", "topic "+n.Topic, n.Name)
			default:
				line(1, "%q -> %q", n.Name, "topic "+n.Topic)
			}
		}
	}
	line(0, "}")
	return out.String()
}
