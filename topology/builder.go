package topology

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"

	"github.com/seed84377926/millrace/topology/engine"
)

// Builder collects the operators of a topology. The operators report no errors: the builder remembers every mistake with the
// line of the user's code that made it, and Build returns them all. A Builder belongs to one goroutine.
type Builder struct {
	app      string
	nodes    []*node
	globals  []*node          // global tables, which are no part of the graph
	names    map[string]*node // chosen by the user
	sources  map[string]*node // by topic
	declared []*storeDecl
	errs     []error
	top      *Topology // once built

	policies Policies
	idle     int64 // milliseconds after which idle tasks go on; 0: never

	late lateErrors
}

// lateErrors are mistakes made after Build. Tasks that start later, on other goroutines, look at them.
type lateErrors struct {
	mu    sync.Mutex
	built bool
	errs  []error
}

// node is the untyped part of an operator: what validation, Describe and the cut into sub-topologies need.
type node struct {
	builder *Builder
	kind    string // such as "filter"
	name    string // unique in the topology; unnamed nodes get one in Build
	named   bool   // the user chose the name
	site    string // the user's call, "file:line"
	sub     string // the name that the user chose for its sub-topology, or ""

	parents, children []*node
	stores            []*storeInfo // kept or read
	globals           []*globalInfo
	timed             bool // it has a stream time of its own, which is kept

	nullKeys bool // it has results for records with null keys

	// Of operators on tables, see [node.oldWanted].
	wantsOld, passesOld bool

	topic       string // of a source or sink, as Kafka knows it
	dynamic     bool   // a sink whose records choose their topics
	repartition *repartition

	pattern *pattern // of a source that reads all topics that match it
	// open wires a source: it returns what takes the records of a topic.
	open  func(h *engine.Host, topic string) engine.Reader
	start Start // of a source
	// try creates the processor of a node that has one, see Builder.tryProcessors.
	try func(h *engine.Host) *scope
}

// Name implements engine.Node.
func (n *node) Name() string { return n.name }

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

// NewBuilder returns an empty builder for the application app. The name becomes the first part of the names of groups
// and internal topics: lower-case letters, digits and hyphens. The options say what is done about records that fail,
// and whether time goes on while the input pauses.
func NewBuilder(app string, opts ...BuilderOption) *Builder {
	b := &Builder{app: app, names: make(map[string]*node), sources: make(map[string]*node)}
	if err := checkName(app); err != nil {
		b.errs = append(b.errs, fmt.Errorf("%s: builder: application %w", callSite(), err))
	}
	for _, opt := range opts {
		if opt == nil {
			b.errs = append(b.errs, fmt.Errorf("%s: builder: option is nil", callSite()))
			continue
		}
		if err := opt.applyBuilder(b); err != nil {
			b.errs = append(b.errs, fmt.Errorf("%s: builder: %w", callSite(), err))
		}
	}
	return b
}

// Build returns the topology, or all mistakes joined in one error, in the order of the calls. Nothing can be added to
// the builder or its streams afterwards: later calls do not change the topology, but fail its NewTask and the next
// Build.
func (b *Builder) Build() (*Topology, error) {
	if b.late.begin() {
		b.build()
	}
	b.late.mu.Lock()
	defer b.late.mu.Unlock()
	if err := errors.Join(append(b.errs, b.late.errs...)...); err != nil {
		return nil, err
	}
	return b.top, nil
}

func (b *Builder) build() {
	if len(b.nodes) == 0 {
		b.errs = append(b.errs, fmt.Errorf("%s: build: the topology has no source; start with Source or TableOf", callSite()))
	}
	b.tryProcessors()
	if len(b.errs) == 0 {
		top, err := cut(b)
		b.top, b.errs = top, append(b.errs, err)
	}
}

// node registers an operator. kind is its method or function.
func (b *Builder) node(kind string, opts []NodeOption) *node {
	n := b.newNode(kind, opts)
	b.register(n)
	return n
}

// newNode makes a node that is not registered.
func (b *Builder) newNode(kind string, opts []NodeOption) *node {
	n := &node{builder: b, kind: kind, site: callSite()}
	var o nodeOptions
	for _, opt := range opts {
		if opt == nil {
			b.errorf(n, "option is nil")
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
func (b *Builder) namedNode(kind, name string) *node {
	return b.node(kind, []NodeOption{Named(name)})
}

func (b *Builder) register(n *node) {
	if b.isOpen(n) {
		b.nodes = append(b.nodes, n)
	}
}

// isOpen reports whether n may still be added, and remembers that it was not if it comes after Build.
func (b *Builder) isOpen(n *node) bool {
	b.late.mu.Lock()
	defer b.late.mu.Unlock()
	if b.late.built {
		b.late.errs = append(b.late.errs, fmt.Errorf("%s: %s: called after Build; a topology cannot change, call Build last",
			n.site, n.label()))
	}
	return !b.late.built
}

// setName gives n the name that the user chose.
func (n *node) setName(name string) {
	n.name, n.named = name, true
	if err := checkName(name); err != nil {
		n.builder.errorf(n, "%w", err)
		return
	}
	if other := n.builder.names[name]; other != nil {
		n.builder.errorf(n, "the name is taken by the %s at %s; names are unique in a topology", other.kind, other.site)
		return
	}
	n.builder.names[name] = n
}

// claimName gives n, a part of the operator user, a name made of the one that the user chose for that: as the name of a store
// it is unique, too.
func (b *Builder) claimName(n, user *node, name string) {
	n.name = name
	if checkName(name) != nil {
		return // an error of the name that it is made of
	}
	if other := b.names[name]; other != nil {
		b.errorf(user, "the name %q of its store is taken by the %s at %s; choose another one", name, other.kind, other.site)
		return
	}
	b.names[name] = n
}

func (n *node) label() string {
	if n.named {
		return fmt.Sprintf("%s %q", n.kind, n.name)
	}
	return n.kind
}

// errorf remembers a mistake in the call that made n.
func (b *Builder) errorf(n *node, format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%s: %s: %w", n.site, n.label(), fmt.Errorf(format, args...)))
}

// require remembers that something the user must give is missing.
func (n *node) require(given bool, what string) {
	if !given {
		n.builder.errorf(n, "the %s is nil", what)
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
		n.builder.errorf(n, "the store name %q is reserved", engine.TimesStore)
	}
	n.stores = append(n.stores, s)
	return s
}

// read registers a store of another node that n reads.
func (n *node) read(s *storeInfo) {
	if n.sameBuilder(s.owner) && !slices.Contains(n.stores, s) {
		n.stores = append(n.stores, s)
	}
}

// addParent draws an arrow from parent to n. It reports false, and remembers why, if they cannot be connected.
func (n *node) addParent(parent *node) bool {
	if !n.sameBuilder(parent) || n.builder.late.isBuilt() {
		return false
	}
	if !slices.Contains(n.parents, parent) {
		n.parents = append(n.parents, parent)
		parent.children = append(parent.children, n)
	}
	return true
}

func (n *node) sameBuilder(other *node) bool {
	if other.builder == n.builder {
		return true
	}
	n.builder.errorf(n, "the %s at %s belongs to another builder (application %q); a topology has one builder",
		other.label(), other.site, other.builder.app)
	return false
}

// begin reports whether this is the first Build.
func (l *lateErrors) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.built
	l.built = true
	return first
}

func (l *lateErrors) isBuilt() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.built
}

func (l *lateErrors) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.errs...)
}

// checkName returns an error unless name can be the name of an operator: the rules are those of store names.
func checkName(name string) error {
	if name == "" {
		return errors.New("name is empty; choose one, it becomes part of the names of topics and stores")
	}
	if state.ValidateStoreName(name) != nil {
		return fmt.Errorf("name %q is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen", name)
	}
	return nil
}

const maxTopicName = 249

// checkTopic returns an error unless Kafka allows name as the name of a topic.
func checkTopic(name string) error {
	switch {
	case name == "":
		return errors.New("the topic is empty")
	case len(name) > maxTopicName:
		return fmt.Errorf("topic name %q has %d characters; Kafka allows %d", name, len(name), maxTopicName)
	case name == ".", name == "..", !regexp.MustCompile(`^[a-zA-Z0-9._-]+$`).MatchString(name):
		return fmt.Errorf("topic name %q is not allowed: Kafka wants letters, digits, '.', '_' and '-'", name)
	}
	return nil
}

// sameCodec reports whether both codecs are known to give the same encodings: they are equal.
func sameCodec[T any](a, b codecs.Codec[T]) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// callSite returns the file, with its folder, and line of the first caller outside of this package and of the engine below it.
func callSite() string {
	const deepest = 32
	var callers [deepest]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	own := reflect.TypeFor[Builder]().PkgPath()
	for {
		frame, more := frames.Next()
		isOwn := strings.HasPrefix(frame.Function, own+".") || strings.HasPrefix(frame.Function, own+"/engine.")
		if !isOwn || strings.HasSuffix(frame.File, "_test.go") {
			file := frame.File
			if i := strings.LastIndexByte(file, '/'); i >= 0 {
				file = file[strings.LastIndexByte(file[:i], '/')+1:]
			}
			return fmt.Sprintf("%s:%d", file, frame.Line)
		}
		if !more {
			return "unknown place"
		}
	}
}
