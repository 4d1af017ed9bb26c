package topology

import (
	"fmt"
	"strings"
)

// Describe returns the topology as text, in the manner of Kafka Streams: every sub-topology with its sources, processors and
// sinks in the order of the program, the stores they use, and the arrows between them. The text depends on the program
// alone, so it is fit for golden files. Policies for failing records are shown if they are not the default.
func (t *Topology) Describe() string {
	var out strings.Builder
	fmt.Fprintf(&out, "Topology: %s\n", t.name)
	if policies := t.policies.String(); policies != "" {
		fmt.Fprintf(&out, "   Failing records: %s\n", policies)
	}
	for _, sub := range t.subs {
		fmt.Fprintf(&out, "   Sub-topology: %s (group: %s)\n", sub.name, sub.Group())
		for _, n := range sub.nodes {
			switch {
			case n.open != nil:
				fmt.Fprintf(&out, "    Source: %s (topic: %s)\n", n.name, n.topic)
			case n.topic != "":
				fmt.Fprintf(&out, "    Sink: %s (topic: %s)\n", n.name, n.topic)
			case n.dynamic:
				fmt.Fprintf(&out, "    Sink: %s (topics: chosen by record)\n", n.name)
			default:
				fmt.Fprintf(&out, "    Processor: %s (stores: [%s])\n", n.name, storeNames(n.stores))
			}
			if n.open != nil || n.topic == "" && !n.dynamic {
				fmt.Fprintf(&out, "      --> %s\n", nodeNames(n.children))
			}
			if n.open == nil {
				fmt.Fprintf(&out, "      <-- %s\n", nodeNames(n.parents))
			}
		}
	}
	return out.String()
}

func nodeNames(nodes []*node) string {
	if len(nodes) == 0 {
		return "none"
	}
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	return strings.Join(names, ", ")
}

func storeNames(stores []*storeInfo) string {
	names := make([]string, len(stores))
	for i, s := range stores {
		names[i] = s.spec.Name
	}
	return strings.Join(names, ", ")
}
