package topology

import (
	"reflect"
	"time"
)

// NodeOption is an option of an operator: [Named], [InSubTopology].
type NodeOption interface{ applyNode(o *nodeOptions) }

type nodeOptions struct {
	name  string
	named bool

	sub    string // see InSubTopology
	placed bool
}

// applyNode applies the options that are set, as one option.
func (o nodeOptions) applyNode(to *nodeOptions) {
	if o.named {
		to.name, to.named = o.name, true
	}
	if o.placed {
		to.sub, to.placed = o.sub, true
	}
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

// SourceOption is an option of [Source], [SourceMatching] and [TableOf]: [Named], [InSubTopology], [TimestampOf],
// [FromLatest], [FromLast], [FromCommitted].
type SourceOption interface {
	TableOption
	applySource(o *sourceOptions)
}

type sourceOptions struct {
	nodeOptions

	timestamps anyTimestamps
	start      Start
}

// ToOption is an option of [Stream.To] and [Stream.ToDynamic]: [Named], [PartitionBy], [Multicast], [InSubTopology].
type ToOption interface{ applyTo(o *toOptions) }

type toOptions struct {
	nodeOptions

	partitioner anyPartitioner
}

// TableOption is an option of [TableOf]: [Named], [Versioned], [TTL], and the options of [Source].
type TableOption interface{ applyTable(o *tableOptions) }

type tableOptions struct {
	nodeOptions
	storeOptions
	sourceOptions sourceOptions
}

// StoreOption is an option of an operator that keeps a table, and of aggregations without windows: [Versioned], [TTL].
type StoreOption interface {
	TableOption
	applyStore(o *storeOptions)
	applyAggregate(o *aggregateOptions)
}

// storeOptions say what kind of store keeps the rows of a table.
type storeOptions struct {
	versioned, expiring bool
	history, ttl        time.Duration
}

type aggregateOptions struct {
	storeOptions
	gone any // func(A) bool
}

// RepartitionOption is an option of [Stream.Repartition], [Stream.GroupBy] and [Table.GroupBy]: [Partitions],
// [PartitionBy], [Multicast], [InSubTopology].
type RepartitionOption interface{ applyRepartition(o *repartitionOptions) }

type repartitionOptions struct {
	partitions  int32
	counted     bool // partitions was given
	partitioner anyPartitioner
	sub         string // see InSubTopology
	placed      bool
}

// anyPartitioner is a partitioner before its types are known.
type anyPartitioner interface {
	option() string
	records() reflect.Type
}

// anyTimestamps is a function for timestamps before its types are known.
type anyTimestamps interface{ records() reflect.Type }

// BuilderOption is an option of [NewBuilder]: [OnUndecodable], [OnTimeAhead], [OnProcessingFailure],
// [OnProduceFailure], [AdvanceWhenIdle].
type BuilderOption interface{ applyBuilder(o *builderOptions) error }

type builderOptions struct {
	policies Policies
	idle     int64 // milliseconds after which idle tasks go on; 0: never
}

// EmitOption is an option of EmitOnClose: [WithinRetention].
type EmitOption interface{ applyEmit(e *emission) }

// emission says when results of windows are forwarded.
type emission struct {
	onClose         bool
	withinRetention bool
}
