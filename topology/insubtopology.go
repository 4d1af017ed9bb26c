package topology

// SubTopologyOption is an option of operators and of repartitions: [InSubTopology].
type SubTopologyOption interface {
	NodeOption
	SourceOption
	ToOption
	RepartitionOption
}

type subTopologyOption string

func (s subTopologyOption) applyNode(o *nodeOptions)               { o.sub, o.placed = string(s), true }
func (s subTopologyOption) applyTo(o *toOptions)                   { s.applyNode(&o.nodeOptions) }
func (s subTopologyOption) applyTable(o *tableOptions)             { s.applyNode(&o.nodeOptions) }
func (s subTopologyOption) applySource(o *sourceOptions)           { s.applyNode(&o.nodeOptions) }
func (s subTopologyOption) applyRepartition(o *repartitionOptions) { o.sub, o.placed = string(s), true }

// InSubTopology names the sub-topology of the operator. On a repartition, it names the sub-topology that reads the
// topic. One operator of a sub-topology with this option is enough; if several have it, they must give the same name.
// Without it, a sub-topology has the name of its first named stateful operator. If another one is added before that
// operator, the sub-topology gets another name. The name of the sub-topology becomes the name of the processor group
// and of the changelog, which holds the state: if you choose it, operators can be added without a change of that name.
//
//	flights := topology.Source(b, "flights", codecs.String, codecs.String, topology.InSubTopology("delays"))
//
// Names are unique in a topology and consist of lower-case letters, digits and hyphens. To name a sub-topology that
// already has state, give it the name that it has, see [Topology.Describe].
func InSubTopology(name string) SubTopologyOption { return subTopologyOption(name) }
