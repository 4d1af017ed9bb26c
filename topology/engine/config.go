package engine

import (
	"context"

	"github.com/seed84377926/millrace/state"
)

// TaskConfig says what a task works with.
type TaskConfig struct {
	// Partition is the partition of all inputs; it appears in errors and drops.
	Partition int32
	// State is the committed state of the task. Required.
	State state.Partition
	// Budget bounds the memory of all stores that share it. nil means that each store has a budget of its own.
	Budget *state.Budget
	// Sink takes the output. Required.
	Sink Sink
	// Partitions returns the number of partitions of a topic that Sink takes records for. An error says why Sink takes
	// no records for the topic; if the topic was chosen for a record, the error becomes the cause of a [RouteError].
	// Partitions is required if the sub-topology chooses partitions, see topology.PartitionBy, or topics, see
	// topology.Stream.ToDynamic.
	Partitions func(topic string) (int32, error)
	// Writers returns how many tasks write to an input that upstream tasks write to, 1 for another input, and 0 for an
	// input that the task does not read. nil means one for each input.
	Writers func(topic string) int32
	// Globals returns the rows of a global table. It is required if the sub-topology reads one, see
	// topology.GlobalTableOf.
	Globals func(name string) GlobalRows
	// OnDrop is called for every record that an operator drops. nil means that drops are not reported.
	OnDrop func(Drop)
	// WallClock is the time at the start, in milliseconds since the Unix epoch; see [Task.AdvanceWallClock].
	WallClock int64
	// MaxTimeAhead is how far the time of an input record of a source may be ahead of the wall clock, in milliseconds.
	// The task refuses a record that is further ahead, see [TimeError]. 0 means that there is no bound but [MaxTime].
	MaxTimeAhead int64
	// Context is given to processors; it ends when the task has to end. nil means a context that never ends.
	Context context.Context //nolint:containedctx // it lives as long as the task
	// PassOver says, just before a punctuation runs, that it has failed and is not to run again: the schedule goes on
	// with the next one. nil means that none is passed over.
	PassOver func(Punctuation) bool
	// Executor runs the calls of asynchronous operators. Required if there are any.
	Executor Executor
}

func (c TaskConfig) withDefaults() TaskConfig {
	if c.OnDrop == nil {
		c.OnDrop = func(Drop) {}
	}
	if c.Context == nil {
		c.Context = context.Background()
	}
	return c
}
