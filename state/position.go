package state

import (
	"cmp"
	"fmt"
	"maps"
	"math"
)

// TopicPartition names one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Compare orders by topic, then by partition, and returns a result as [cmp.Compare] does.
func (tp TopicPartition) Compare(other TopicPartition) int {
	return cmp.Or(cmp.Compare(tp.Topic, other.Topic), cmp.Compare(tp.Partition, other.Partition))
}

// String returns topic/partition.
func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// Sender names an upstream task, as the receiver of a repartition topic sees it.
type Sender struct {
	// Topic is the repartition topic.
	Topic string
	// Partition is the partition of the upstream task.
	Partition int32
}

// Position says which input offsets a task's state reflects. Offsets are next offsets: the state reflects all records
// below them. Every commit stores it under [PositionKey], so that a reader of the state, here or in a view, knows which
// input the state reflects.
type Position struct {
	// Direct holds the topic partitions that the task reads itself.
	Direct map[TopicPartition]int64
	// Derived holds the source partitions that reach the task through repartition topics: the state reflects every
	// effect that records below these offsets have on this partition.
	Derived map[TopicPartition]int64
	// Senders holds the last mark from each upstream task. Derived is computed from them.
	Senders map[Sender]Mark
	// StreamTime is the task's stream time in milliseconds, -1 if unknown.
	StreamTime int64
	// Largest is the largest timestamp that the task has read, DirectSeen that of the records of Direct, in
	// milliseconds, -1 if unknown. Without Senders both are StreamTime.
	Largest, DirectSeen int64
}

// Mark is the last mark of an upstream task. The time is in milliseconds, -1 if unknown.
type Mark struct {
	// Offsets are the source offsets that everything before the last mark reflects.
	Offsets map[TopicPartition]int64
	// Time is the stream time that the upstream task has told, [IdleTime] if it had nothing to read.
	Time int64
}

// IdleTime is the stream time of an upstream task that has nothing to read.
const IdleTime = math.MaxInt64

// NewPosition returns the position of a task that has read nothing: empty maps, stream time unknown.
func NewPosition() Position {
	return Position{
		Direct:     map[TopicPartition]int64{},
		Derived:    map[TopicPartition]int64{},
		Senders:    map[Sender]Mark{},
		StreamTime: -1,
		Largest:    -1,
		DirectSeen: -1,
	}
}

// Clone returns a deep copy. Its maps are never nil.
func (p Position) Clone() Position {
	c := NewPosition()
	c.StreamTime, c.Largest, c.DirectSeen = p.StreamTime, p.Largest, p.DirectSeen
	maps.Copy(c.Direct, p.Direct)
	maps.Copy(c.Derived, p.Derived)
	for sender, mark := range p.Senders {
		mark.Offsets = maps.Clone(mark.Offsets)
		c.Senders[sender] = mark
	}
	return c
}
