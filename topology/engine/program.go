package engine

// Program is what a task runs. A sub-topology makes one for each of its tasks.
type Program struct {
	// Name is the name of the sub-topology; it appears in errors.
	Name string
	// Inputs are the topics that are read, in the order that [Task.Process] counts them.
	Inputs []Input
	// IdleAfter is how long the input must be idle before stream times go on with the idle time, in milliseconds; 0
	// means that they never do. See [Task.AdvanceIdle].
	IdleAfter int64
	// Reaching returns the inputs, as indexes of Inputs, whose records lead to the records of a node. nil means that
	// all do.
	Reaching func(n Node) []int
	// Behind says, for each output, which operators hold back what they send there.
	Behind map[string][]Behind
}

// Behind is an operator that holds results back. What comes out at the output, because of records that have reached the
// operator, is not further behind its stream time than By, in milliseconds.
type Behind struct {
	Node Node
	By   int64
}

// Input is a topic that a task reads.
type Input struct {
	Topic string
	// Upstream says that tasks of the application write the topic, see [TaskConfig].Writers. Each of them is an origin
	// of its own; all other inputs are one.
	Upstream bool
	// Open wires the operators that the records reach into the task, and returns what takes the records. It reports
	// mistakes by [Host.Fail].
	Open func(h *Host) Reader
}

// Reader takes the records of an input.
type Reader struct {
	// Read processes a record. It does not keep r.
	Read func(r *RawRecord) error
	// Timestamp returns the timestamp that Read would give the record; partitionTime is the largest one before it. It
	// changes nothing. nil means that records have the timestamp that they have in Kafka.
	Timestamp func(r *RawRecord, partitionTime int64) int64
	// PartitionTime is the largest timestamp so far. Required with Timestamp.
	PartitionTime *KeptTime
	// Bounded says that Read refuses records that are later than [Task.LatestTime].
	Bounded bool
}
