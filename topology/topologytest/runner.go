package topologytest

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// runner runs one task: a partition of a sub-topology.
type runner struct {
	sub        *topology.SubTopology
	partition  int32
	task       *engine.Task
	calls      *executor
	part       state.Partition
	changelog  map[string][]byte // what Kafka would have kept
	streamTime int64             // committed, as is progress
	largest    int64
	progress   []engine.Progress
	up         upstream
	inputs     []topology.Input
	queues     [][]queued // by input
}

// wipe gives r a new engine.
func (r *runner) wipe() (err error) {
	r.part, err = state.NewMemory().Open(0)
	return err
}

// earliest returns the input whose next record has the smallest timestamp, -1 if nothing is queued.
func (r *runner) earliest() (input int, earliest int64) {
	input = -1
	for i, queue := range r.queues {
		if len(queue) == 0 {
			continue
		}
		timestamp := int64(math.MinInt64) // news has no time of its own
		if queue[0].told == nil {
			timestamp = r.task.Timestamp(i, &queue[0].RawRecord, r.task.PartitionTime(i))
		}
		if input < 0 || timestamp < earliest {
			input, earliest = i, timestamp
		}
	}
	return input, earliest
}

// step processes the next record of an input, or what an upstream task has told, after so much time has passed.
func (r *runner) step(input int, passed int64) error {
	next := r.queues[input][0]
	r.queues[input] = r.queues[input][1:]
	if next.told != nil {
		if err := r.task.Tell(engine.Origin{Topic: r.inputs[input].Topic, Partition: next.from}, *next.told); err != nil {
			return fmt.Errorf("sub-topology %q: %w", r.sub.Name(), err)
		}
		return nil
	}
	if !r.inputs[input].Repartition {
		r.up.active = passed
	}
	if err := r.task.Process(input, &next.RawRecord); err != nil {
		return fmt.Errorf("sub-topology %q: record %s: %w", r.sub.Name(), printRaw(next.RawRecord), err)
	}
	return nil
}

func (r *runner) commit() error {
	var batch state.Batch
	if err := r.task.Flush(&batch); err != nil {
		return err
	}
	if err := r.part.Apply(&batch); err != nil {
		return fmt.Errorf("commit sub-topology %q: %w", r.sub.Name(), err)
	}
	r.task.Committed()
	r.streamTime, r.largest, r.progress = r.task.StreamTime(), r.task.LargestTime(), r.task.Progress(r.progress[:0])
	r.up.commit()
	for op := range batch.Ops() {
		switch {
		case op.Local:
		case op.Value == nil:
			delete(r.changelog, string(op.Key))
		default:
			r.changelog[string(op.Key)] = slices.Clone(op.Value)
		}
	}
	return nil
}

// restore rebuilds the state from the changelog.
func (r *runner) restore() error {
	layout, err := state.NewLayout(r.sub.Stores()...)
	if err != nil {
		return err
	}
	var batch state.Batch
	for _, key := range slices.Sorted(maps.Keys(r.changelog)) {
		known, err := layout.RestoreRow(&batch, []byte(key), r.changelog[key])
		if err != nil {
			return err
		}
		if !known {
			return fmt.Errorf("restore sub-topology %q: no store knows the row %q", r.sub.Name(), key)
		}
	}
	return r.part.Apply(&batch)
}
