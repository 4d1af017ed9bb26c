package processors

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// markHeader is the header of a mark. A mark is a record without a key in a repartition topic; a commit of an upstream
// task writes one into every partition if the mark has changed. Its value says which source offsets the records before
// it cover. A task that has read the marks of all upstream tasks knows, and tells its views, that it reflects those
// offsets, although it never reads the source topic. Marks never reach an operator.
const markHeader = "millrace-mark"

func isMark(rec *kgo.Record) bool {
	return rec.Key == nil && len(rec.Headers) > 0 && rec.Headers[0].Key == markHeader
}

// recordMark adds a mark to the position.
func (p *progress) recordMark(rec *kgo.Record) error {
	offsets, err := state.ParseToken(string(rec.Value))
	if err != nil {
		return &engine.DecodeError{
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

// mark returns the content of the task's marks in a repartition topic: the source offsets that everything it has
// written there reflects. Only the inputs that lead to the topic count. Another input may depend on the topic itself,
// as the two topics of a foreign-key join do.
func (p *progress) mark(to string) state.Offsets {
	return p.reflected(func(in topology.Input) bool { return slices.Contains(p.plan.feeding[to], in.Topic) })
}

// changedMark returns the token of the marks in a repartition topic, and false if the last commit had the same:
// repeated marks would circulate for ever where two sub-topologies read each other's output.
func (p *progress) changedMark(to string) (token string, ok bool) {
	token = p.mark(to).Token()
	p.marking[to] = token
	last, marked := p.marked[to]
	return token, !marked || token != last
}

// committed notes that the marks of the commit under way are written.
func (p *progress) committed() { maps.Copy(p.marked, p.marking) }

// markRecords returns the marks for all partitions of one repartition topic.
func markRecords(topic string, partitions, sender int32, token string) []*kgo.Record {
	header := kgo.RecordHeader{Key: markHeader, Value: []byte{byte(sender >> 24), byte(sender >> 16), byte(sender >> 8), byte(sender)}}
	records := make([]*kgo.Record, partitions)
	for p := range partitions {
		records[p] = &kgo.Record{Topic: topic, Partition: p, Value: []byte(token), Headers: []kgo.RecordHeader{header}}
	}
	return records
}
