package topology

import (
	"fmt"
	"slices"
	"time"
)

// Description is a topology as data: what [Topology.Describe], [Topology.DOT] and JSON are made from, and what [Compare]
// compares. It does not hold what only a program can: functions and codecs. Its JSON is only ever added to, since
// descriptions are stored, see docs/formats.md.
type Description struct {
	// Application is the name of the application.
	Application string `json:"application"`
	// Fingerprint is that of the topology, see [Topology.Fingerprint].
	Fingerprint string `json:"fingerprint"`
	// Policies names the policies for failing records that are not the default, as [Policies.String] does.
	Policies string `json:"policies,omitempty"`
	// SubTopologies are the parts, in the order in which they appear in the program.
	SubTopologies []SubTopologyDescription `json:"sub_topologies"`
	// Globals are the global tables.
	Globals []Global `json:"global_tables,omitempty"`
	// Topics are all topics: first those that operators read or write, then those of global tables, then the changelogs.
	Topics []TopicDescription `json:"topics"`
	// Retired is what earlier versions of the application left behind. Only a description that was stored has it, see
	// [Description.After].
	Retired Retired `json:"retired,omitzero"`
}

// SubTopologyDescription describes a [SubTopology].
type SubTopologyDescription struct {
	Name        string `json:"name"`
	Group       string `json:"group"`
	Changelog   string `json:"changelog"`   // topic
	Fingerprint string `json:"fingerprint"` // see SubTopology.Fingerprint
	// Inputs and Outputs are names of topics.
	Inputs  []string           `json:"inputs"`
	Outputs []string           `json:"outputs,omitempty"`
	Stores  []StoreDescription `json:"stores,omitempty"`
	// Nodes are the operators in the order of the program.
	Nodes []NodeDescription `json:"nodes,omitempty"`
}

// StoreDescription describes a store of a sub-topology.
type StoreDescription struct {
	Name string `json:"name"`
	// Kind is that of the store in words, such as "window".
	Kind string `json:"kind"`
	// The settings are those of state.Spec.
	WindowSize time.Duration `json:"window_size_ns,omitempty"`
	Retention  time.Duration `json:"retention_ns,omitempty"`
	TTL        time.Duration `json:"ttl_ns,omitempty"`
	Of         string        `json:"of,omitempty"`
	// Operator is the name of the node that writes it, OperatorKind the kind of that node.
	Operator     string `json:"operator"`
	OperatorKind string `json:"operator_kind"`
	// Sources are the external topics whose records reach it, sorted.
	Sources []string `json:"sources,omitempty"`
}

// The roles of a node.
const (
	RoleSource    = "source"    // reads a topic
	RoleProcessor = "processor" // neither
	RoleSink      = "sink"      // writes to a topic
)

// NodeDescription describes an operator.
type NodeDescription struct {
	Name string `json:"name"`
	// Kind is the method or function that made it, such as "filter".
	Kind string `json:"kind"`
	Role string `json:"role"`
	// Topic is what a source reads or a sink writes.
	Topic string `json:"topic,omitempty"`
	// Pattern is what the names of topics must match that a source reads.
	Pattern string `json:"pattern,omitempty"`
	// Start says where a source without offsets begins: "latest", "last 1h0m0s", "committed", or "" for the first record.
	Start string `json:"start,omitempty"`
	// Dynamic says that a sink writes to topics that its records choose.
	Dynamic bool `json:"dynamic,omitempty"`
	// Stores are the stores that it writes or reads.
	Stores []string `json:"stores,omitempty"`
	// Globals are the global tables that it reads.
	Globals  []string `json:"global_tables,omitempty"`
	Parents  []string `json:"parents,omitempty"`
	Children []string `json:"children,omitempty"`
	// Site is the call in the program that made it, "folder/file:line". It is not part of what the node is: [Compare] and
	// the text ignore it, and it is not stored.
	Site string `json:"site,omitempty"`
}

// The kinds of topics.
const (
	ExternalTopic    = "external"    // made by others
	RepartitionTopic = "repartition" // between sub-topologies
	ChangelogTopic   = "changelog"   // the state of a group
)

// TopicDescription describes a topic that the topology uses.
type TopicDescription struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Partitions is the number that the program gives a repartition topic, 0 if it follows from other topics.
	Partitions int32 `json:"partitions,omitempty"`
	// WrittenBy and ReadBy are groups.
	WrittenBy []string `json:"written_by,omitempty"`
	ReadBy    []string `json:"read_by,omitempty"`
}

// Description returns the topology as data.
func (t *Topology) Description() Description {
	d := Description{Application: t.name, Policies: t.policies.String(), SubTopologies: make([]SubTopologyDescription, len(t.subs))}
	flow := newOrigins()
	for i, sub := range t.subs {
		d.SubTopologies[i] = sub.describe(flow)
	}
	d.Globals = t.Globals()
	d.Topics = t.describeTopics()
	d.Fingerprint = d.fingerprint()
	return d
}

func (s *SubTopology) describe(flow *origins) SubTopologyDescription {
	if s.program != nil {
		s = s.program // which topics match must not make it another topology
	}
	d := SubTopologyDescription{Name: s.name, Group: s.Group(), Changelog: s.TableTopic(), Outputs: s.Outputs()}
	for _, in := range s.inputs {
		d.Inputs = append(d.Inputs, in.label())
	}
	for _, n := range s.nodes {
		for _, store := range n.ownStores() {
			spec := store.spec
			d.Stores = append(d.Stores, StoreDescription{
				Name: spec.Name, Kind: spec.Kind.String(), WindowSize: spec.WindowSize, Retention: spec.Retention, TTL: spec.TTL, Of: spec.Of,
				Operator: n.name, OperatorKind: n.kind, Sources: flow.all(n),
			})
		}
		d.Nodes = append(d.Nodes, n.describe())
	}
	d.Fingerprint = d.fingerprint(s.inputs, s.repartitions())
	return d
}

func (n *node) describe() NodeDescription {
	d := NodeDescription{
		Name: n.name, Kind: n.kind, Role: RoleProcessor, Topic: n.topic, Start: n.start.describe(), Dynamic: n.dynamic,
		Parents: namesOf(n.parents), Children: namesOf(n.children), Site: n.site,
	}
	if n.pattern != nil {
		d.Pattern = n.pattern.text
	}
	switch {
	case n.open != nil:
		d.Role = RoleSource
	case n.topic != "", n.dynamic:
		d.Role = RoleSink
	}
	for _, s := range n.stores {
		d.Stores = append(d.Stores, s.spec.Name)
	}
	for _, g := range n.globals {
		d.Globals = append(d.Globals, g.node.name)
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

func (t *Topology) describeTopics() []TopicDescription {
	var topics []TopicDescription
	at := make(map[string]int)
	topic := func(name, kind string) *TopicDescription {
		i, ok := at[name]
		if !ok {
			i = len(topics)
			at[name] = i
			topics = append(topics, TopicDescription{Name: name, Kind: kind})
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
			d := topic(n.topic, ExternalTopic)
			if r := n.repartition; r != nil {
				d.Kind, d.Partitions = RepartitionTopic, r.partitions
			}
			if n.open != nil {
				add(&d.ReadBy, sub.Group())
			} else {
				add(&d.WrittenBy, sub.Group())
			}
		}
	}
	for _, g := range t.globals {
		d := topic(g.Topic, ExternalTopic)
		for _, sub := range t.subs {
			if slices.ContainsFunc(sub.nodes, func(n *node) bool { return n.looksUp(g.Name) }) {
				add(&d.ReadBy, sub.Group())
			}
		}
	}
	for _, sub := range t.subs {
		d := topic(sub.TableTopic(), ChangelogTopic)
		d.WrittenBy, d.ReadBy = []string{sub.Group()}, []string{sub.Group()}
	}
	return topics
}

// repartitions returns the outputs that are repartition topics.
func (s *SubTopology) repartitions() []string {
	var topics []string
	for _, n := range s.nodes {
		if n.open == nil && n.repartition != nil {
			topics = append(topics, n.topic)
		}
	}
	return topics
}

// WithoutSites returns a copy without the places in the program, which change with every edit of it.
func (d Description) WithoutSites() Description {
	d.SubTopologies = slices.Clone(d.SubTopologies)
	for i := range d.SubTopologies {
		nodes := slices.Clone(d.SubTopologies[i].Nodes)
		for n := range nodes {
			nodes[n].Site = ""
		}
		d.SubTopologies[i].Nodes = nodes
	}
	return d
}
