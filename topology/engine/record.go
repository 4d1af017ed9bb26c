package engine

// Header is one header of a record. Keys may repeat.
type Header struct {
	Key   string
	Value []byte
}

// RawRecord is a record as Kafka has it. A nil slice is null, an empty one is not.
type RawRecord struct {
	Key, Value []byte
	// Timestamp is in milliseconds since the Unix epoch.
	Timestamp int64
	Headers   []Header
	// Offset is the offset of an input record; a Sink ignores it.
	Offset int64
	// PartitionKey is the part of the key that decides the partition of an output record, if it is not all of it:
	// windows of one key belong together. nil means Key. Unused for input records.
	PartitionKey []byte
	// Pinned says that an output record goes to Partition, which the operator knows, whatever its keys are.
	Pinned    bool
	Partition int32
}

// Sink takes the output of a task.
type Sink interface {
	// Send takes a record for a topic, in order for each topic and key. The slices of r are handed over: the task never
	// modifies them again, but may send them to several partitions. The partition is r.Partition if r.Pinned is set;
	// otherwise the implementation chooses it: topology.Partition of r.PartitionKey, or of r.Key if that is nil; any
	// partition for a null key. An error of Send fails Process.
	Send(topic string, r RawRecord) error
}

// Drop is a record that an operator could not use.
type Drop struct {
	// Node is the name of the operator as topology.Topology.Describe shows it, Reason one of the Drop constants of
	// package topology.
	Node, Reason string
	// Topic, Partition and Offset are the place of the input record that was processed. Topic is "" and Offset -1
	// during a [Punctuation], to which no record leads.
	Topic     string
	Partition int32
	Offset    int64
	// Timestamp is the time of what was dropped, in milliseconds.
	Timestamp int64
	// Late is by how much the operator's stream time had passed the last one at which the operator would have used the
	// record, in milliseconds: with so much more grace, history or TTL it would have. It is 0 if the record was dropped
	// for another reason than its time.
	Late int64
}

// GlobalRows are the rows of a global table as they are at the moment, which changes while tasks read them. They are
// safe for concurrent use.
type GlobalRows interface {
	// Get appends the row of key to dst and reports whether there is one. Keys and rows look as in the partition of a
	// key-value store: state.AppendRowKey of the name of the table and the key, state.AppendRowValue of timestamp and
	// value.
	Get(dst, key []byte) (value []byte, ok bool, err error)
	// Version returns another number after every change of rows: a row that was read before the change may have another
	// value now.
	Version() uint64
}
