package processors

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/murmur2"
	"github.com/seed84377926/millrace/topology/engine"
)

// sink sends the operators' outputs through the writer of a life, into the open transaction.
type sink struct {
	life *life
	// ask asks the cluster for the number of partitions of a topic that a record chooses, since the plan does not have
	// such topics. chosen keeps the answers.
	ask    func(topic string) (int32, error)
	chosen map[string]int32

	topic string // of the last record, with the tally of its records
	out   *outputTally
}

// partitions returns the number of partitions of a topic that is written to. A topic that is missing is looked up for
// every record: it may have been created.
func (s *sink) partitions(topic string) (int32, error) {
	if n, ok := s.life.plan.outputs[topic]; ok {
		return n, nil
	}
	if n, ok := s.chosen[topic]; ok {
		return n, nil
	}
	n, err := s.ask(topic)
	if err != nil {
		return 0, err
	}
	if s.chosen == nil {
		s.chosen = make(map[string]int32)
	}
	s.chosen[topic] = n
	return n, nil
}

// Send sends the record to the partition that the topology chose, or else partitions by key like Kafka's default
// partitioner; records without a key go to the partitions in turn.
func (s *sink) Send(topic string, r engine.RawRecord) error {
	l := s.life
	n, err := s.partitions(topic)
	if err != nil {
		return err
	}
	if err := l.openTransaction(); err != nil {
		return err
	}
	rec := l.writer.Record(l.current)
	rec.Topic, rec.Key, rec.Value, rec.Timestamp = topic, r.Key, r.Value, time.UnixMilli(r.Timestamp)
	switch {
	case r.Pinned:
		rec.Partition = r.Partition
	case r.PartitionKey != nil:
		rec.Partition = murmur2.Partition(r.PartitionKey, n)
	case r.Key != nil:
		rec.Partition = murmur2.Partition(r.Key, n)
	default:
		rec.Partition = l.nextPartition[topic]
		l.nextPartition[topic] = (rec.Partition + 1) % n
	}
	if len(r.Headers) > 0 {
		rec.Headers = make([]kgo.RecordHeader, len(r.Headers))
		for i, h := range r.Headers {
			rec.Headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
		}
	}
	l.uncommitted.bytes += int64(len(r.Key) + len(r.Value))
	if s.out == nil || s.topic != topic {
		s.topic, s.out = topic, l.stats.output(topic)
	}
	s.out.add(r.Key, r.Value)
	s.out.open.Add(r.Timestamp)
	l.writer.Produce(rec, nil)
	return nil
}
