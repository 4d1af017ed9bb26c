package topology

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// graph is what a [Builder] collects: nodes and mistakes. It knows no kind of node: a kind whose mistakes are found
// later than at its call adds a function that finds them.
type graph struct {
	app     string
	nodes   []*node
	globals []*node          // global tables, whose nodes have no arrows
	names   map[string]*node // chosen by the user
	sources map[string]*node // by topic
	errs    []error
	late    lateErrors

	// internal says what each topic is that only the topology itself may use. It is empty until Build.
	internal map[string]string

	// Build calls these before the cut: trials with the host of a task that exists for them only, in which each
	// processor is created, and then afterTrials, which find the mistakes that the trials have shown.
	trials      []func(h *engine.Host)
	afterTrials []func()
	// Build calls checks when the cut is made and all nodes have names. They return mistakes.
	checks []func() error
}

// node is the untyped part of an operator: what validation, Describe and the cut into sub-topologies need.
type node struct {
	graph *graph
	kind  string // such as "filter"
	name  string // unique in the topology; unnamed nodes get one in Build
	named bool   // the user chose the name
	site  string // the user's call, "file:line"
	sub   string // the name that the user chose for its sub-topology, or ""

	parents, children []*node
	stores            []*storeInfo // kept or read
	globals           []*node      // global tables that it reads
	timed             bool         // it has a stream time of its own, which is kept
	behind            int64        // how far its results may be behind its stream time, in milliseconds, see flow.go

	nullKeys bool // it has results for records with null keys

	// Of operators on tables, see [node.oldWanted].
	wantsOld, passesOld bool

	topic       string // of a source or sink, as Kafka knows it
	dynamic     bool   // a sink whose records choose their topics
	repartition *repartition

	sourceRole
}

// sourceRole is what a node has if it is a source.
type sourceRole struct {
	// open wires the source: it returns what takes the records of a topic. It is nil if the node is no source.
	open    func(h *engine.Host, topic string) engine.Reader
	start   Start
	pattern *pattern // nil if the source reads one topic
}

// isSource reports whether n reads topics.
func (n *node) isSource() bool { return n.open != nil }

// Name implements engine.Node.
func (n *node) Name() string { return n.name }

func (n *node) label() string {
	if n.named {
		return fmt.Sprintf("%s %q", n.kind, n.name)
	}
	return n.kind
}

// storeInfo is the untyped part of a store.
type storeInfo struct {
	spec  state.Spec
	owner *node   // the node that writes it, or the first that does
	users []*node // all that do, if these are processors
}

// writers returns all nodes that write the store.
func (s *storeInfo) writers() []*node {
	if s.users != nil {
		return s.users
	}
	return []*node{s.owner}
}

// node registers an operator. kind is its method or function.
func (g *graph) node(kind string, opts []NodeOption) *node {
	n := g.newNode(kind, opts)
	g.register(n)
	return n
}

// newNode makes a node that is not registered.
func (g *graph) newNode(kind string, opts []NodeOption) *node {
	n := &node{graph: g, kind: kind, site: callSite()}
	var o nodeOptions
	for _, opt := range opts {
		if opt == nil {
			g.errorf(n, "option is nil")
			continue
		}
		opt.applyNode(&o)
	}
	if o.named {
		n.setName(o.name)
	}
	if o.placed {
		n.place(o.sub)
	}
	return n
}

// namedNode registers an operator whose name the user must choose.
func (g *graph) namedNode(kind, name string) *node {
	return g.node(kind, []NodeOption{Named(name)})
}

func (g *graph) register(n *node) {
	if g.isOpen(n) {
		g.nodes = append(g.nodes, n)
	}
}

// isOpen reports whether n may still be added. If n comes after Build, isOpen remembers the mistake.
func (g *graph) isOpen(n *node) bool {
	g.late.mu.Lock()
	defer g.late.mu.Unlock()
	if g.late.built {
		g.late.errs = append(g.late.errs, fmt.Errorf("%s: %s: called after Build; a topology cannot change, call Build last",
			n.site, n.label()))
	}
	return !g.late.built
}

// setName gives n the name that the user chose.
func (n *node) setName(name string) {
	n.name, n.named = name, true
	if err := checkName(name); err != nil {
		n.graph.errorf(n, "%w", err)
		return
	}
	if other := n.graph.names[name]; other != nil {
		n.graph.errorf(n, "the name is taken by the %s at %s; names are unique in a topology", other.kind, other.site)
		return
	}
	n.graph.names[name] = n
}

// claimName gives n, a part of the operator user, a name made of the name of that operator. As the name of a store it
// is unique, too.
func (g *graph) claimName(n, user *node, name string) {
	n.name = name
	if checkName(name) != nil {
		return // an error of the name that it is made of
	}
	if other := g.names[name]; other != nil {
		g.errorf(user, "the name %q of its store is taken by the %s at %s; choose another one", name, other.kind, other.site)
		return
	}
	g.names[name] = n
}

// place puts n into the sub-topology with the given name.
func (n *node) place(name string) {
	n.sub = name
	if err := checkName(name); err != nil {
		n.graph.errorf(n, "sub-topology %w", err)
	}
}

// errorf remembers a mistake in the call that made n.
func (g *graph) errorf(n *node, format string, args ...any) {
	g.errs = append(g.errs, fmt.Errorf("%s: %s: %w", n.site, n.label(), fmt.Errorf(format, args...)))
}

// require remembers that something the user must give is missing.
func (n *node) require(given bool, what string) {
	if !given {
		n.graph.errorf(n, "the %s is nil", what)
	}
}

// requireCodecs remembers that a codec of a topic is missing.
func (n *node) requireCodecs(key, value bool) {
	n.require(key, "key codec")
	n.require(value, "value codec")
}

// keep registers a store that n writes.
func (n *node) keep(spec state.Spec) *storeInfo {
	s := &storeInfo{spec: spec, owner: n}
	if spec.Name == engine.TimesStore {
		n.graph.errorf(n, "the store name %q is reserved", engine.TimesStore)
	}
	n.stores = append(n.stores, s)
	return s
}

// keepPart registers one of several stores of n.
func (n *node) keepPart(part string, spec state.Spec) *storeInfo {
	spec.Name = n.name + "-" + part
	if other := n.graph.names[spec.Name]; other != nil {
		n.graph.errorf(n, "its store %q has the name of the %s at %s; names are unique in a topology",
			spec.Name, other.kind, other.site)
	} else {
		n.graph.names[spec.Name] = n
	}
	return n.keep(spec)
}

// read registers a store of another node that n reads.
func (n *node) read(s *storeInfo) {
	if n.sameBuilder(s.owner) && !slices.Contains(n.stores, s) {
		n.stores = append(n.stores, s)
	}
}

// addParent draws an arrow from parent to n. It reports false, and remembers why, if they cannot be connected.
func (n *node) addParent(parent *node) bool {
	if !n.sameBuilder(parent) || n.graph.late.isBuilt() {
		return false
	}
	if !slices.Contains(n.parents, parent) {
		n.parents = append(n.parents, parent)
		parent.children = append(parent.children, n)
	}
	return true
}

func (n *node) sameBuilder(other *node) bool {
	if other.graph == n.graph {
		return true
	}
	n.graph.errorf(n, "the %s at %s belongs to another builder (application %q); a topology has one builder",
		other.label(), other.site, other.graph.app)
	return false
}

// repartition connects the sink before a repartition topic with the source after it.
type repartition struct {
	repartitionOptions

	name         string
	suffix       string // of the topic
	sink, source *node
	follows      bool // its reader decides how many partitions there are
}

// label names the topic in errors.
func (r *repartition) label() string {
	if r.follows {
		return fmt.Sprintf("foreign-key join %q", r.name)
	}
	return fmt.Sprintf("repartition %q", r.name)
}

// wantsNullKeys reports whether an operator below n uses records with null keys: a join that forwards them without a
// match.
func (n *node) wantsNullKeys() bool {
	for _, child := range n.children {
		if child.nullKeys || len(child.stores) == 0 && child.repartition == nil && child.wantsNullKeys() {
			return true
		}
	}
	return false
}

// pattern is the regular expression that the names of a source's topics match.
type pattern struct {
	text string
	re   *regexp.Regexp
}

func (p *pattern) String() string { return fmt.Sprintf("topics that match %s", p.text) }

// isIndex reports whether n keeps an index: an index that is added to a table must not rename its sub-topology.
func (n *node) isIndex() bool {
	return slices.ContainsFunc(n.ownStores(), func(s *storeInfo) bool { return s.spec.Kind == state.IndexKind })
}

// ownStores returns the stores that n owns, in the order of the program.
func (n *node) ownStores() []*storeInfo {
	return slices.DeleteFunc(slices.Clone(n.stores), func(s *storeInfo) bool { return s.owner != n })
}
