package processors

import (
	"maps"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

// markHeader is the header of a mark: a record without a key in a repartition topic, written into every partition of
// it by each commit of an upstream task that has something new to say. Its value says which source offsets all records before it cover. A task that
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

	// Tokens of marks by topic: of the last commit, and of the one under way.
	marked, marking map[string]string
}

func newProgress(plan *groupPlan, partition int32, position state.Position) *progress {
	// Only what this topology reads: an input that an earlier version had may be gone.
	inputs := make(map[string]bool)
	for _, in := range plan.inputs {
		inputs[in.Topic] = true
	}
	maps.DeleteFunc(position.Direct, func(tp state.TopicPartition, _ int64) bool { return !inputs[tp.Topic] })
	maps.DeleteFunc(position.Senders, func(s state.Sender, _ map[state.TopicPartition]int64) bool { return !inputs[s.Topic] })
	return &progress{
		plan: plan, partition: partition, position: position,
		marked: make(map[string]string), marking: make(map[string]string),
	}
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
	p.position.Derived = p.derived()
}

// reflected combines what the chosen inputs say of the source partitions whose records come through them: a source partition is
// reflected as far as the slowest of the ways that it takes, and not at all before each of them has said so.
func (p *progress) reflected(chosen func(topology.Input) bool) state.Offsets {
	all := make(state.Offsets)
	said := make(map[state.TopicPartition]int)
	say := func(tp state.TopicPartition, offset int64) {
		if said[tp] > 0 {
			offset = min(offset, all[tp])
		}
		all[tp] = offset
		said[tp]++
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
			say(tp, p.position.Direct[tp])
			continue
		}
		for _, source := range in.Origins {
			ways[source]++
			if !reads { // nothing of it can be missing
				for q := range p.plan.sizes[source] {
					say(state.TopicPartition{Topic: source, Partition: q}, math.MaxInt64)
				}
			}
		}
		for tp, offset := range p.covered(in.Topic) {
			say(tp, offset)
		}
	}
	// An upstream task may say something of a source that is not known here yet, and of which it is not known by which ways it comes.
	maps.DeleteFunc(all, func(tp state.TopicPartition, _ int64) bool {
		n := ways[tp.Topic] + direct[tp]
		return n == 0 || said[tp] < n
	})
	return all
}

// outdated says whether the marks say other than the position, so that the task must commit although nothing has come: it has begun
// with inputs that are known to come from other sources than before, or there is a repartition topic that it has nothing of, so that
// no mark ever makes it say what it reflects.
func (p *progress) outdated() bool { return !maps.Equal(p.derived(), p.position.Derived) }

// derived combines what all repartition inputs say.
func (p *progress) derived() state.Offsets {
	return p.reflected(func(in topology.Input) bool { return in.Repartition })
}

// covered returns what the marks in one repartition input say. A source partition that leads to the input within the upstream
// sub-topology only reaches it through one task, the one of the same number; one that is derived there, too, may reach it
// through any of them, so that the slowest counts.
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

// mark returns what the task's marks in a repartition topic say: the source offsets that everything it has written there
// reflects. Only the inputs that lead to the topic count. All others may say what they like; among them may be one that depends
// on the topic itself, as the two of a foreign-key join do.
func (p *progress) mark(to string) state.Offsets {
	return p.reflected(func(in topology.Input) bool { return slices.Contains(p.plan.feeding[to], in.Topic) })
}

// news returns the token of the marks in a repartition topic, and false if it is that of the last commit: marks that say nothing
// new would go round and round where sub-topologies read what each other writes.
func (p *progress) news(to string) (token string, ok bool) {
	token = p.mark(to).Token()
	p.marking[to] = token
	last, marked := p.marked[to]
	return token, !marked || token != last
}

// committed notes that the marks are out.
func (p *progress) committed() { maps.Copy(p.marked, p.marking) }

// markRecords are the marks for all partitions of one repartition topic.
func markRecords(topic string, partitions, sender int32, token string) []*kgo.Record {
	header := kgo.RecordHeader{Key: markHeader, Value: []byte{byte(sender >> 24), byte(sender >> 16), byte(sender >> 8), byte(sender)}}
	records := make([]*kgo.Record, partitions)
	for p := range partitions {
		records[p] = &kgo.Record{Topic: topic, Partition: p, Value: []byte(token), Headers: []kgo.RecordHeader{header}}
	}
	return records
}
