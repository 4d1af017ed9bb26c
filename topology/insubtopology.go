package topology

// SubTopologyOption is the option [InSubTopology] of operators and of repartitions.
type SubTopologyOption interface {
	NodeOption
	SourceOption
	ToOption
	RepartitionOption
}

type subTopologyOption string

func (s subTopologyOption) applyNode(o *nodeOptions)        { o.sub, o.placed = string(s), true }
func (s subTopologyOption) applyTo(o *toOptions)            { s.applyNode(&o.nodeOptions) }
func (s subTopologyOption) applyTable(o *tableOptions)      { s.applyNode(&o.nodeOptions) }
func (s subTopologyOption) applySource(o *sourceOptions)    { s.applyNode(&o.nodeOptions) }
func (s subTopologyOption) applyRepartition(r *repartition) { r.sub, r.placed = string(s), true }

// InSubTopology names the sub-topology that the operator is in; for a repartition, the one that reads its topic. One operator
// of a sub-topology is enough, and all that say it must say the same. Without it, a sub-topology is named after its first
// stateful operator, so that another one added before that renames it. The name is that of the processor group and of the
// changelog, where the state is: give it, and the program may change as it likes.
//
//	flights := topology.Source(b, "flights", codecs.String, codecs.String, topology.InSubTopology("delays"))
//
// Names are unique in a topology: lower-case letters, digits and hyphens. To name a sub-topology that has state already, give it
// the name that it has, see [Topology.Describe].
func InSubTopology(name string) SubTopologyOption { return subTopologyOption(name) }

// place says that n is in the sub-topology with the given name.
func (n *node) place(name string) {
	n.sub = name
	if err := checkName(name); err != nil {
		n.builder.errorf(n, "sub-topology %w", err)
	}
}

// chosenName returns the name that the user chose for a part, "" if none. Whoever says another one than the first is told so.
func chosenName(nodes []*node) string {
	var first *node
	for _, n := range nodes {
		switch {
		case n.sub == "":
		case first == nil:
			first = n
		case n.sub != first.sub:
			n.builder.errorf(n, "it is in sub-topology %q, as the %s at %s says, and cannot be in %q; a repartition between them would make two",
				first.sub, first.label(), first.site, n.sub)
		}
	}
	if first == nil {
		return ""
	}
	return first.sub
}
