package processors

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// markHeader is the header of a mark. A mark is a record without a key in a repartition topic; a commit of an upstream
// task writes one into every partition if the mark has changed. Its value says which source offsets the records before
// it cover. A task that has read the marks of all upstream tasks knows, and tells its views, that it reflects those
// offsets, although it never reads the source topic. Marks never reach an operator.
//
// timeHeader is its second header: how far the upstream task has come in stream time, so that the operators downstream
// wait for the slowest (docs/decisions/0019-watermarks.md).
const (
	markHeader = "millrace-mark"
	timeHeader = "millrace-time"
)

// mark is what the marks of a commit say in one repartition topic.
type mark struct {
	token string // of source offsets
	time  int64  // state.IdleTime: the task has nothing to read
}

func isMark(rec *kgo.Record) bool {
	return rec.Key == nil && len(rec.Headers) > 0 && rec.Headers[0].Key == markHeader
}

// recordMark adds a mark to the position, and tells the operators how far the upstream task has come.
func (l *life) recordMark(rec *kgo.Record) error {
	sender, err := l.progress.recordMark(rec)
	if err != nil {
		return err
	}
	at, told := markTime(rec)
	switch {
	case !told: // an older version wrote the mark
		at = engine.UnknownTime
	case at == engine.IdleTime:
		// It was idle when it wrote the mark, perhaps long ago. Until that is compared with its sources, its time
		// counts.
		l.waits.checked = time.Time{}
		return nil
	}
	l.waits.recordTold(sender)
	return l.operators.Tell(engine.Origin(sender), at)
}

// recordMark adds a mark to the position, and returns the upstream task that wrote it.
func (p *progress) recordMark(rec *kgo.Record) (state.Sender, error) {
	sender := state.Sender{Topic: rec.Topic, Partition: markSender(rec)}
	offsets, err := state.ParseToken(string(rec.Value))
	if err != nil {
		return sender, &engine.DecodeError{
			Node: markHeader, Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Part: "value", Err: err,
		}
	}
	m, ok := p.position.Senders[sender]
	if !ok {
		m.Time = engine.UnknownTime
	}
	m.Offsets = offsets
	if at, told := markTime(rec); told {
		m.Time = at
	} else if m.Time == state.IdleTime {
		m.Time = engine.UnknownTime
	}
	p.position.Senders[sender] = m
	return sender, nil
}

// markTime returns the stream time in a mark.
func markTime(rec *kgo.Record) (at int64, ok bool) {
	if len(rec.Headers) < 2 || rec.Headers[1].Key != timeHeader {
		return 0, false
	}
	at, n := binary.Varint(rec.Headers[1].Value)
	return at, n > 0
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

// changedMark returns what the marks of the next commit say in a repartition topic, if the task has come to the given
// time, and false if the last commit said the same: repeated marks would circulate for ever where two sub-topologies
// read each other's output.
func (p *progress) changedMark(to string, at int64) (m mark, changed bool) {
	m = mark{token: p.mark(to).Token(), time: at}
	p.marking[to] = m
	last, marked := p.marked[to]
	return m, !marked || m != last
}

// timeFor returns how far the task has come for those that read a repartition topic.
func (l *life) timeFor(to string) int64 {
	feeding := l.plan.feeding[to]
	return l.operators.TimeFor(to, func(input string) bool { return slices.Contains(feeding, input) })
}

// committed notes that the marks of the commit under way are written.
func (p *progress) committed() { maps.Copy(p.marked, p.marking) }

// markRecords returns the marks for all partitions of one repartition topic.
func markRecords(topic string, partitions, sender int32, m mark) []*kgo.Record {
	headers := []kgo.RecordHeader{
		{Key: markHeader, Value: binary.BigEndian.AppendUint32(nil, uint32(sender))},
		{Key: timeHeader, Value: binary.AppendVarint(nil, m.time)},
	}
	records := make([]*kgo.Record, partitions)
	for p := range partitions {
		records[p] = &kgo.Record{Topic: topic, Partition: p, Value: []byte(m.token), Headers: headers}
	}
	return records
}
