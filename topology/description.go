package topology

import (
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/describe"
)

// Description returns the topology as data.
func (t *Topology) Description() describe.Topology {
	d := describe.Topology{
		Application: t.name, Policies: t.policies.String(), SubTopologies: make([]describe.SubTopology, len(t.subs)),
	}
	flow := newOrigins()
	for i, sub := range t.subs {
		d.SubTopologies[i] = sub.describe(flow)
	}
	for _, g := range t.globals {
		d.Globals = append(d.Globals, describe.Global(g))
	}
	d.Topics = t.describeTopics()
	d.Identify()
	return d
}

// Describe returns the topology as text, in the manner of Kafka Streams, see [describe.Topology.String].
func (t *Topology) Describe() string { return t.Description().String() }

// DOT returns the topology as a Graphviz graph, see [describe.Topology.DOT].
func (t *Topology) DOT() string { return t.Description().DOT() }

// Fingerprint identifies the topology: two topologies with the same fingerprint have the same groups, and each group
// has the same fingerprint in both. Twelve hexadecimal digits. See [describe.Topology.Identify].
func (t *Topology) Fingerprint() string { return t.Description().Fingerprint }

// Fingerprint identifies what all instances of the processor group must have in common, so that each may take over the
// work of another. Twelve hexadecimal digits. See [describe.Topology.Identify].
func (s *SubTopology) Fingerprint() string {
	for _, sub := range s.top.Description().SubTopologies {
		if sub.Group == s.Group() {
			return sub.Fingerprint
		}
	}
	panic(fmt.Sprintf("topology: sub-topology %q is not in its topology", s.name)) // checkNames refuses equal names
}

func (s *SubTopology) describe(flow *origins) describe.SubTopology {
	if s.program != nil {
		s = s.program // which topics match must not make it another topology
	}
	d := describe.SubTopology{Name: s.name, Group: s.Group(), Changelog: s.TableTopic(), Outputs: s.Outputs()}
	for _, in := range s.inputs {
		d.Inputs = append(d.Inputs, in.label())
	}
	for _, n := range s.nodes {
		for _, store := range n.ownStores() {
			spec := store.spec
			var calendar string
			if spec.Calendar != (state.Calendar{}) {
				calendar = spec.Calendar.String()
			}
			d.Stores = append(d.Stores, describe.Store{
				Name: spec.Name, Kind: spec.Kind.String(), WindowSize: spec.WindowSize, Calendar: calendar, Retention: spec.Retention, TTL: spec.TTL, Of: spec.Of,
				Operator: n.name, OperatorKind: n.kind, Sources: flow.all(n),
			})
		}
		d.Nodes = append(d.Nodes, n.describe())
	}
	return d
}

func (n *node) describe() describe.Node {
	d := describe.Node{
		Name: n.name, Kind: n.kind, Role: describe.RoleProcessor, Topic: n.topic, Start: n.start.describe(), Dynamic: n.dynamic,
		Parents: namesOf(n.parents), Children: namesOf(n.children), Site: n.site,
	}
	if n.pattern != nil {
		d.Pattern = n.pattern.text
	}
	switch {
	case n.isSource():
		d.Role = describe.RoleSource
	case n.topic != "", n.dynamic:
		d.Role = describe.RoleSink
	}
	for _, s := range n.stores {
		d.Stores = append(d.Stores, s.spec.Name)
	}
	for _, g := range n.globals {
		d.Globals = append(d.Globals, g.name)
	}
	return d
}

func (s Start) describe() string {
	switch s.Kind {
	case StartLatest:
		return "latest"
	case StartAge:
		return fmt.Sprintf("last %v", s.Age)
	case StartCommitted:
		return "committed"
	case StartEarliest:
	}
	return ""
}

func namesOf(nodes []*node) []string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
	}
	return names
}

func (t *Topology) describeTopics() []describe.Topic {
	var topics []describe.Topic
	at := make(map[string]int)
	topic := func(name, kind string) *describe.Topic {
		i, ok := at[name]
		if !ok {
			i = len(topics)
			at[name] = i
			topics = append(topics, describe.Topic{Name: name, Kind: kind})
		}
		return &topics[i]
	}
	add := func(groups *[]string, group string) {
		if !slices.Contains(*groups, group) {
			*groups = append(*groups, group)
		}
	}
	for _, sub := range t.subs {
		for _, n := range sub.nodes {
			if n.topic == "" {
				continue
			}
			d := topic(n.topic, describe.ExternalTopic)
			if r := n.repartition; r != nil {
				d.Kind, d.Partitions = describe.RepartitionTopic, r.partitions
			}
			if n.isSource() {
				add(&d.ReadBy, sub.Group())
			} else {
				add(&d.WrittenBy, sub.Group())
			}
		}
	}
	for _, g := range t.globals {
		d := topic(g.Topic, describe.ExternalTopic)
		for _, sub := range t.subs {
			if slices.ContainsFunc(sub.nodes, func(n *node) bool { return n.looksUp(g.Name) }) {
				add(&d.ReadBy, sub.Group())
			}
		}
	}
	for _, sub := range t.subs {
		d := topic(sub.TableTopic(), describe.ChangelogTopic)
		d.WrittenBy, d.ReadBy = []string{sub.Group()}, []string{sub.Group()}
	}
	return topics
}
