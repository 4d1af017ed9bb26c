package processors

import (
	"maps"
	"math"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// progress keeps the position of a task: which input offsets its state reflects and, through marks, which offsets of
// source topics that the task does not read itself. See "Positions and marks" in the package's essay.
type progress struct {
	plan      *groupPlan
	partition int32
	position  state.Position

	// Marks by topic: of the last commit of this life, and of the commit under way.
	marked, marking map[string]mark
	origins         []engine.Progress // scratch
}

func newProgress(plan *groupPlan, partition int32, position state.Position) *progress {
	// Inputs that an earlier version of the topology had may be gone.
	inputs := make(map[string]bool)
	for _, in := range plan.inputs {
		inputs[in.Topic] = true
	}
	maps.DeleteFunc(position.Direct, func(tp state.TopicPartition, _ int64) bool { return !inputs[tp.Topic] })
	maps.DeleteFunc(position.Senders, func(s state.Sender, _ state.Mark) bool { return !inputs[s.Topic] })
	return &progress{
		plan: plan, partition: partition, position: position,
		marked: make(map[string]mark), marking: make(map[string]mark),
	}
}

// advance sets the positions of the task's own inputs and recomputes the derived ones from the marks.
func (p *progress) advance(all []*input) {
	for _, in := range all {
		p.position.Direct[state.TopicPartition{Topic: in.topic, Partition: p.partition}] = in.next
	}
	p.position.Derived = p.derived()
}

// recordTimes sets the stream time, and how far the inputs of the task have come.
func (p *progress) recordTimes(task *engine.Task) {
	p.position.StreamTime, p.position.Largest = task.StreamTime(), task.LargestTime()
	p.origins = task.Progress(p.origins[:0])
	for _, o := range p.origins {
		if o.Topic == "" {
			p.position.DirectSeen = o.Seen
		}
	}
}

// restoredTimes returns how far the origins have come as the position has it. That an upstream task has nothing to read
// was true when it said so: it is left out until it is known to be true still, see releaseIdle.
func (p *progress) restoredTimes() []engine.Progress {
	times := []engine.Progress{{Told: engine.UnknownTime, Seen: p.position.DirectSeen}}
	for sender, m := range p.position.Senders {
		told := m.Time
		if told == state.IdleTime {
			told = engine.UnknownTime
		}
		times = append(times, engine.Progress{Origin: engine.Origin(sender), Told: told, Seen: engine.UnknownTime})
	}
	return times
}

// reflected combines the offsets of source partitions that the chosen inputs report. A source partition may reach the
// task in several ways. The slowest way decides how far it is reflected, and it is not reflected at all before each way
// has reported it.
func (p *progress) reflected(chosen func(topology.Input) bool) state.Offsets {
	all := make(state.Offsets)
	reports := make(map[state.TopicPartition]int)
	report := func(tp state.TopicPartition, offset int64) {
		if reports[tp] > 0 {
			offset = min(offset, all[tp])
		}
		all[tp] = offset
		reports[tp]++
	}
	ways := make(map[string]int) // repartition inputs that each source topic comes through
	direct := make(map[state.TopicPartition]int)
	for _, in := range p.plan.inputs {
		if !chosen(in) {
			continue
		}
		reads := p.plan.reads(in.Topic, p.partition)
		if !in.Repartition {
			if !reads {
				continue
			}
			tp := state.TopicPartition{Topic: in.Topic, Partition: p.partition}
			direct[tp] = 1
			report(tp, p.position.Direct[tp])
			continue
		}
		for _, source := range in.Origins {
			ways[source]++
			if !reads { // the task has no partition of it, so that nothing can be missing
				for q := range p.plan.sizes[source] {
					report(state.TopicPartition{Topic: source, Partition: q}, math.MaxInt64)
				}
			}
		}
		for tp, offset := range p.covered(in.Topic) {
			report(tp, offset)
		}
	}
	// An upstream task may report a source that this plan does not have yet: it is not known in how many ways it
	// arrives.
	maps.DeleteFunc(all, func(tp state.TopicPartition, _ int64) bool {
		n := ways[tp.Topic] + direct[tp]
		return n == 0 || reports[tp] < n
	})
	return all
}

// derivedChanged says whether the marks give other derived offsets than the committed position has, so that the task
// must commit although no record has come. That happens if its inputs now come from other sources than before, or if
// there is a repartition topic of which it has no partition, so that no mark ever makes it write a new position.
func (p *progress) derivedChanged() bool { return !maps.Equal(p.derived(), p.position.Derived) }

// derived combines the reports of all repartition inputs.
func (p *progress) derived() state.Offsets {
	return p.reflected(func(in topology.Input) bool { return in.Repartition })
}

// covered returns the source offsets that the marks in one repartition input cover. A source partition that reaches the
// input directly, within the upstream sub-topology, comes through one task only, the one of the same number. A source
// partition that is derived upstream as well may come through any of its tasks, so that the slowest counts.
func (p *progress) covered(topic string) map[state.TopicPartition]int64 {
	tasks := p.plan.upstreamTasks[topic]
	covered := make(map[state.TopicPartition]int64)
	reports := make(map[state.TopicPartition]int32)
	for task := range tasks {
		for tp, offset := range p.position.Senders[state.Sender{Topic: topic, Partition: task}].Offsets {
			if reports[tp] > 0 {
				offset = min(offset, covered[tp])
			}
			covered[tp] = offset
			reports[tp]++
		}
	}
	for tp := range covered {
		if !p.plan.upstreamDirect[topic][tp.Topic] && reports[tp] < tasks {
			delete(covered, tp) // some upstream task has not reported yet
		}
	}
	return covered
}
