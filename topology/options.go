package topology

// NodeOption is an option of an operator: [Named], [InSubTopology].
type NodeOption interface{ applyNode(o *nodeOptions) }

type nodeOptions struct {
	name  string
	named bool

	sub    string // see InSubTopology
	placed bool
}

// appendTo appends the options that are set to opts.
func (o nodeOptions) appendTo(opts []NodeOption) []NodeOption {
	if o.named {
		opts = append(opts, namedOption(o.name))
	}
	if o.placed {
		opts = append(opts, subTopologyOption(o.sub))
	}
	return opts
}

// NameOption is the option of all operators: [Named].
type NameOption interface {
	NodeOption
	ToOption
	SourceOption
}

type namedOption string

func (n namedOption) applyNode(o *nodeOptions)     { o.name, o.named = string(n), true }
func (n namedOption) applyTo(o *toOptions)         { n.applyNode(&o.nodeOptions) }
func (n namedOption) applyTable(o *tableOptions)   { n.applyNode(&o.nodeOptions) }
func (n namedOption) applySource(o *sourceOptions) { n.applyNode(&o.nodeOptions) }

// Named chooses the name of an operator in descriptions, drops and errors. Without it, the operator is named after its
// kind and a number, which changes when other operators are added. For [TableOf] it is also the name of the store.
// Names are unique in a topology and consist of lower-case letters, digits and hyphens.
func Named(name string) NameOption { return namedOption(name) }
