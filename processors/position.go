package processors

import (
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// markHeader is the header of a mark: a record without a key in a repartition topic, written into every partition of
// it by each commit of an upstream task. Its value says which source offsets all records before it cover. A task that
// has read the marks of all upstream tasks knows, and tells its views, that it reflects those offsets, although it has
// never seen the source topic. Marks never reach an operator.
const markHeader = "millrace-mark"

func isMark(rec *kgo.Record) bool {
	return rec.Key == nil && len(rec.Headers) > 0 && rec.Headers[0].Key == markHeader
}

// progress keeps a task's Position: which input offsets its state reflects, and through marks which source offsets.
type progress struct {
	plan      *groupPlan
	partition int32
	position  state.Position
}

func newProgress(plan *groupPlan, partition int32, position state.Position) *progress {
	// Only what this topology reads: an input that an earlier version had may be gone.
	inputs := make(map[string]bool)
	for _, in := range plan.inputs {
		inputs[in.Topic] = true
	}
	maps.DeleteFunc(position.Direct, func(tp state.TopicPartition, _ int64) bool { return !inputs[tp.Topic] })
	maps.DeleteFunc(position.Senders, func(s state.Sender, _ map[state.TopicPartition]int64) bool { return !inputs[s.Topic] })
	return &progress{plan: plan, partition: partition, position: position}
}

// heard takes a mark in.
func (p *progress) heard(rec *kgo.Record) error {
	offsets, err := state.ParseToken(string(rec.Value))
	if err != nil {
		return &topology.DecodeError{
			Node: markHeader, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Part: "value", Err: err,
		}
	}
	sender := state.Sender{Topic: rec.Topic, Partition: markSender(rec)}
	p.position.Senders[sender] = offsets
	return nil
}

func markSender(rec *kgo.Record) int32 {
	var n int32
	for _, b := range rec.Headers[0].Value {
		n = n<<8 | int32(b)
	}
	return n
}

// advance sets the positions of the task's own inputs and recomputes what follows from the marks.
func (p *progress) advance(all []*input) {
	for _, in := range all {
		p.position.Direct[state.TopicPartition{Topic: in.topic, Partition: p.partition}] = in.next
	}
	p.position.Derived = p.derived("")
}

// derived combines what the marks in all repartition inputs say, without the topic except: a source partition is
// reflected as far as the slowest of the inputs it comes through, and not at all before each of them has said so.
func (p *progress) derived(except string) map[state.TopicPartition]int64 {
	all := make(map[state.TopicPartition]int64)
	inputs := make(map[state.TopicPartition]int)
	sources := make(map[string]int) // inputs that each source topic comes through
	for _, in := range p.plan.inputs {
		if !in.Repartition || in.Topic == except {
			continue
		}
		for _, source := range in.Origins {
			sources[source]++
		}
		for tp, offset := range p.covered(in.Topic) {
			if inputs[tp] > 0 {
				offset = min(offset, all[tp])
			}
			all[tp] = offset
			inputs[tp]++
		}
	}
	maps.DeleteFunc(all, func(tp state.TopicPartition, _ int64) bool { return inputs[tp] < sources[tp.Topic] })
	return all
}

// covered returns what the marks in one repartition input say. A source partition that the upstream sub-topology reads
// itself reaches the input through one task only, the one of the same number; one that is derived there already may
// reach it through any of them, so that the slowest counts.
func (p *progress) covered(topic string) map[state.TopicPartition]int64 {
	tasks := p.plan.upstreamTasks[topic]
	covered := make(map[state.TopicPartition]int64)
	heard := make(map[state.TopicPartition]int32)
	for task := range tasks {
		for tp, offset := range p.position.Senders[state.Sender{Topic: topic, Partition: task}] {
			if heard[tp] > 0 {
				offset = min(offset, covered[tp])
			}
			covered[tp] = offset
			heard[tp]++
		}
	}
	for tp := range covered {
		if !p.plan.upstreamDirect[topic][tp.Topic] && heard[tp] < tasks {
			delete(covered, tp) // some upstream task has not said yet
		}
	}
	return covered
}

// mark returns what the task's marks in a repartition topic say: the source offsets that everything it has written
// there reflects. What it has derived from that very topic, if it reads its own output, is left out: it would wait for
// itself.
func (p *progress) mark(to string) state.Offsets {
	offsets := state.Offsets(p.derived(to))
	for _, in := range p.plan.inputs {
		if in.Repartition {
			continue
		}
		tp := state.TopicPartition{Topic: in.Topic, Partition: p.partition}
		offset := p.position.Direct[tp]
		if other, ok := offsets[tp]; ok {
			offset = min(offset, other)
		}
		offsets[tp] = offset
	}
	return offsets
}

// markRecords are the marks for all partitions of one repartition topic.
func markRecords(topic string, partitions, sender int32, token string) []*kgo.Record {
	header := kgo.RecordHeader{Key: markHeader, Value: []byte{byte(sender >> 24), byte(sender >> 16), byte(sender >> 8), byte(sender)}}
	records := make([]*kgo.Record, partitions)
	for p := range partitions {
		records[p] = &kgo.Record{Topic: topic, Partition: p, Value: []byte(token), Headers: []kgo.RecordHeader{header}}
	}
	return records
}
