package topology

import (
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// Topology is a validated graph of operators, cut into sub-topologies. It never changes and is safe for concurrent use;
// the slices that its methods return are the caller's.
type Topology struct {
	name    string
	nodes   []*node
	subs    []*SubTopology
	tables  []state.TableRef
	globals []Global
	// internal says what each internal topic is.
	internal map[string]string
	// program is what the topology was before its patterns were resolved, nil if they are not.
	program *Topology
	late    *lateErrors

	policies Policies
	idle     int64 // milliseconds; see Builder
}

// Name returns the name of the application.
func (t *Topology) Name() string { return t.name }

// DescriptionTopic returns the name of the topic where the runtime keeps the description of the topology,
// <app>-topology.
func (t *Topology) DescriptionTopic() string { return t.name + "-topology" }

// SubTopologies returns the parts, in the order in which they appear in the program.
func (t *Topology) SubTopologies() []*SubTopology { return slices.Clone(t.subs) }

// Tables returns all stores that views can read.
func (t *Topology) Tables() []state.TableRef {
	tables := slices.Clone(t.tables)
	for i := range tables {
		tables[i] = cloneTable(tables[i])
	}
	return tables
}

// Table returns the store with the given name, and false if there is none.
func (t *Topology) Table(store string) (state.TableRef, bool) {
	for _, ref := range t.tables {
		if ref.Store.Name == store {
			return cloneTable(ref), true
		}
	}
	return state.TableRef{}, false
}

func cloneTable(ref state.TableRef) state.TableRef {
	ref.Direct, ref.Derived = slices.Clone(ref.Direct), slices.Clone(ref.Derived)
	ref.DirectMatching, ref.DerivedMatching = slices.Clone(ref.DirectMatching), slices.Clone(ref.DerivedMatching)
	return ref
}

// SubTopology is a part of a topology that one processor group runs. It never changes and is safe for concurrent use;
// the slices that its methods return are the caller's.
type SubTopology struct {
	top     *Topology
	name    string
	nodes   []*node
	sources []*node // in the order of inputs
	inputs  []Input
	program *SubTopology // before patterns were resolved, nil if they are not
	outputs []string
	dynamic bool // it writes to topics that are chosen by record, too
	stores  []state.Spec
	feeding map[string][]string        // inputs by output
	behind  map[string][]engine.Behind // by output

	copartitions []Copartition
}

// Input is a topic that the tasks of a sub-topology read.
type Input struct {
	// Topic is the name of the topic.
	Topic string
	// Pattern is the expression that names of topics must match to be read, while the matching topics are not known
	// yet: see [Topology.Resolve]. Topic is empty then.
	Pattern string
	// Repartition says that the topic is internal: the runtime creates it, and sub-topologies write to it.
	Repartition bool
	// Partitions is the number of partitions that the user wants; 0 means as many as the other inputs have, or else the
	// sources that reach it. Always 0 for external topics.
	Partitions int32
	// Start says where an external topic is read from at first.
	Start Start
	// Follows says that the topic has as many partitions as the inputs beside it, and does not influence their number:
	// it is one of the two topics of a foreign-key join.
	Follows bool
	// Upstream are the groups that write to a repartition topic; empty for external topics.
	Upstream []string
	// Origins are the external source topics whose records reach this input: the topic itself, or all that reach it
	// through repartition topics. Sorted.
	Origins []string
}

// Name returns the name, which is unique in the topology: the name that [InSubTopology] gave it, or else the name of
// the first stateful operator that the user named, or else the name of the first topic that it reads.
func (s *SubTopology) Name() string { return s.name }

// Group returns the name of the processor group, <app>-<name>.
func (s *SubTopology) Group() string { return fmt.Sprintf("%s-%s", s.top.name, s.name) }

// TableTopic returns the name of the changelog topic of the group, <group>-table.
func (s *SubTopology) TableTopic() string { return s.Group() + "-table" }

// Inputs returns the topics that its tasks read. Task.Process names an input by its position in this list.
func (s *SubTopology) Inputs() []Input {
	inputs := slices.Clone(s.inputs)
	for i := range inputs {
		inputs[i].Upstream, inputs[i].Origins = slices.Clone(inputs[i].Upstream), slices.Clone(inputs[i].Origins)
	}
	return inputs
}

// Outputs returns the topics that its tasks write to, repartition topics included. The changelog, and topics that
// records choose, are left out.
func (s *SubTopology) Outputs() []string { return slices.Clone(s.outputs) }

// DynamicOutputs says that records choose further topics to be written to, see [Stream.ToDynamic].
func (s *SubTopology) DynamicOutputs() bool { return s.dynamic }

// Copartition names inputs that must have the same number of partitions, since an operator needs equal keys of them in
// one task.
type Copartition struct {
	// Topics are the inputs: two at least, or all topics that match a pattern. Sorted.
	Topics []string
	// Operator is what brings them together, by its kind and name, and Site the place of its call, "file:line".
	Operator, Site string
}

// Copartitions returns sets of inputs, in the order of the operators: the inputs of one set must have the same number
// of partitions. An input may be in several sets. Inputs that are only merged may have different numbers: there are as
// many tasks as the largest input has partitions, and a task reads the inputs that have its partition.
func (s *SubTopology) Copartitions() []Copartition {
	all := slices.Clone(s.copartitions)
	for i := range all {
		all[i].Topics = slices.Clone(all[i].Topics)
	}
	return all
}

// Feeding returns the inputs whose records lead to records of the given output, through operators and the stores that
// they read. Sorted.
func (s *SubTopology) Feeding(output string) []string { return slices.Clone(s.feeding[output]) }

// Stores returns all stores in the changelog of the group. A store named "stream-times", if there is one, is the task's
// own.
func (s *SubTopology) Stores() []state.Spec { return slices.Clone(s.stores) }

// NewTask returns a task that works on cfg.State. It fails if the state cannot be read, or if somebody called the
// builder after Build.
func (s *SubTopology) NewTask(cfg engine.TaskConfig) (*engine.Task, error) {
	if err := s.top.late.err(); err != nil {
		return nil, fmt.Errorf("topology %q: %w", s.top.name, err)
	}
	program := engine.Program{Name: s.name, IdleAfter: s.top.idle, Reaching: s.reaching, Behind: s.behind}
	for i, source := range s.sources {
		in := s.inputs[i]
		if in.Pattern != "" {
			return nil, fmt.Errorf("task of sub-topology %q: which topics match %q is not known; call Topology.Resolve first", s.name, in.Pattern)
		}
		program.Inputs = append(program.Inputs, engine.Input{
			Topic: in.Topic, Upstream: in.Repartition,
			Open: func(h *engine.Host) engine.Reader { return source.open(h, in.Topic) },
		})
	}
	return engine.NewTask(program, cfg)
}

// reaching returns the inputs whose records lead to the records of an operator.
func (s *SubTopology) reaching(n engine.Node) []int {
	at, ok := n.(*node)
	if !ok {
		panic(fmt.Sprintf("topology: bug: operator %q is no node", n.Name()))
	}
	before := at.sourcesBefore()
	var inputs []int
	for i, source := range s.sources {
		if slices.Contains(before, source) {
			inputs = append(inputs, i)
		}
	}
	return inputs
}

// Policies returns the policies for records that fail.
func (t *Topology) Policies() Policies { return t.policies }

// label names the input in descriptions.
func (in Input) label() string {
	if in.Pattern != "" {
		return (&pattern{text: in.Pattern}).String()
	}
	return in.Topic
}

// Global is the name and the topic of a global table.
type Global struct {
	Name  string `json:"name"`
	Topic string `json:"topic"`
}

// Globals returns the global tables in the order of the program.
func (t *Topology) Globals() []Global { return slices.Clone(t.globals) }
