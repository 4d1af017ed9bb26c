package describe

import (
	"slices"
	"time"
)

// Topology describes a whole topology. Its JSON is stored: members are only added to it, see docs/formats.md.
type Topology struct {
	// Application is the name of the application.
	Application string `json:"application"`
	// Fingerprint identifies the topology, see [Topology.Identify].
	Fingerprint string `json:"fingerprint"`
	// Policies names the policies for failing records that are not the default.
	Policies string `json:"policies,omitempty"`
	// SubTopologies are the parts, in the order of the program.
	SubTopologies []SubTopology `json:"sub_topologies"`
	// Globals are the global tables.
	Globals []Global `json:"global_tables,omitempty"`
	// Topics are all topics: first the topics that operators read or write, then the topics of global tables, then the
	// changelogs.
	Topics []Topic `json:"topics"`
	// Retired is what earlier versions of the application left behind. Only stored descriptions have it, see
	// [Topology.After].
	Retired Retired `json:"retired,omitzero"`
}

// SubTopology describes a part of a topology that one processor group runs.
type SubTopology struct {
	Name        string `json:"name"`
	Group       string `json:"group"`
	Changelog   string `json:"changelog"`   // topic
	Fingerprint string `json:"fingerprint"` // see Topology.Identify
	// Inputs and Outputs are names of topics. An input that stands for all topics that match a pattern is named by the
	// pattern.
	Inputs  []string `json:"inputs"`
	Outputs []string `json:"outputs,omitempty"`
	Stores  []Store  `json:"stores,omitempty"`
	// Nodes are the operators in the order of the program.
	Nodes []Node `json:"nodes,omitempty"`
}

// Store describes a store of a sub-topology.
type Store struct {
	Name string `json:"name"`
	// Kind is the kind of the store in words, such as "window".
	Kind string `json:"kind"`
	// The settings are those of state.Spec.
	WindowSize time.Duration `json:"window_size_ns,omitempty"`
	Calendar   string        `json:"calendar,omitempty"` // the unit and the zone in words
	Retention  time.Duration `json:"retention_ns,omitempty"`
	TTL        time.Duration `json:"ttl_ns,omitempty"`
	Of         string        `json:"of,omitempty"`
	// Operator is the name of the node that writes the store, OperatorKind the kind of this node.
	Operator     string `json:"operator"`
	OperatorKind string `json:"operator_kind"`
	// Sources are the external topics whose records reach the store, sorted.
	Sources []string `json:"sources,omitempty"`
}

// The roles of a node.
const (
	RoleSource    = "source"    // reads a topic
	RoleProcessor = "processor" // reads and writes no topic
	RoleSink      = "sink"      // writes to a topic
)

// Node describes an operator.
type Node struct {
	Name string `json:"name"`
	// Kind is the method or function that made it, such as "filter".
	Kind string `json:"kind"`
	Role string `json:"role"`
	// Topic is the topic that a source reads or a sink writes.
	Topic string `json:"topic,omitempty"`
	// Pattern is the pattern of a source that reads all topics whose names match it.
	Pattern string `json:"pattern,omitempty"`
	// Start says where a source begins that has no offsets: "latest", "last 1h0m0s", "committed", or "" for the first
	// record.
	Start string `json:"start,omitempty"`
	// Dynamic says that each record of a sink chooses its topic.
	Dynamic bool `json:"dynamic,omitempty"`
	// Stores are the stores that the operator writes or reads.
	Stores []string `json:"stores,omitempty"`
	// Globals are the global tables that the operator reads.
	Globals  []string `json:"global_tables,omitempty"`
	Parents  []string `json:"parents,omitempty"`
	Children []string `json:"children,omitempty"`
	// Site is the call in the program that made the node, "folder/file:line". [Compare] and the text ignore it, and it
	// is not stored.
	Site string `json:"site,omitempty"`
}

// The kinds of topics.
const (
	ExternalTopic    = "external"    // made by others
	RepartitionTopic = "repartition" // between sub-topologies
	ChangelogTopic   = "changelog"   // the state of a group
)

// Global describes a global table.
type Global struct {
	Name  string `json:"name"`
	Topic string `json:"topic"`
}

// Topic describes a topic that the topology uses.
type Topic struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Partitions is the number of partitions that the program gives a repartition topic, 0 if the number follows from
	// other topics.
	Partitions int32 `json:"partitions,omitempty"`
	// WrittenBy and ReadBy are names of groups.
	WrittenBy []string `json:"written_by,omitempty"`
	ReadBy    []string `json:"read_by,omitempty"`
}

// WithoutSites returns a copy without sites, which change with every edit of the program.
func (d Topology) WithoutSites() Topology {
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

// find returns the first element for which matches returns true, nil if there is none.
func find[T any](all []T, matches func(one *T) bool) *T {
	for i := range all {
		if matches(&all[i]) {
			return &all[i]
		}
	}
	return nil
}

func (d *Topology) group(name string) *SubTopology {
	return find(d.SubTopologies, func(sub *SubTopology) bool { return sub.Group == name })
}

func (d *Topology) topic(name string) *Topic {
	return find(d.Topics, func(topic *Topic) bool { return topic.Name == name })
}

func (d *SubTopology) store(name string) *Store {
	return find(d.Stores, func(store *Store) bool { return store.Name == name })
}

// keeper returns the sub-topology that keeps the store with the given name.
func (d *Topology) keeper(store string) *SubTopology {
	return find(d.SubTopologies, func(sub *SubTopology) bool { return sub.store(store) != nil })
}

// reads reports whether the group reads the topic.
func (d *Topology) reads(group, topic string) bool {
	t := d.topic(topic)
	return t != nil && slices.Contains(t.ReadBy, group)
}
