package broker

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ProduceError says that the broker did not accept a record of the open transaction.
type ProduceError struct {
	// Record is a copy of the record.
	Record kgo.Record
	// Origin is the input record that it was made from, nil if there is none.
	Origin *kgo.Record
	// Limit is the largest batch that the record's topic accepts, in bytes.
	Limit int32
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *ProduceError) Error() string {
	switch {
	case errors.Is(e.Err, kerr.MessageTooLarge):
		return fmt.Sprintf("produce to %s/%d: a record of %d bytes: %v; make it smaller or raise max.message.bytes of the topic (%d)",
			e.Record.Topic, e.Record.Partition, produceSize(e.Record), e.Err, e.Limit)
	case e.is(kerr.UnknownTopicOrPartition, kerr.UnknownTopicID):
		return fmt.Sprintf("produce to %s/%d: %v; the topic was deleted: create it again with the partitions that it had",
			e.Record.Topic, e.Record.Partition, e.Err)
	default:
		return fmt.Sprintf("produce to %s/%d: %v", e.Record.Topic, e.Record.Partition, e.Err)
	}
}

// Unwrap returns the cause.
func (e *ProduceError) Unwrap() error { return e.Err }

// Lasting reports whether the cause is the record or its topic: the next attempt would most likely fail the same way.
func (e *ProduceError) Lasting() bool {
	return e.OfTopic() || e.is(kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.PolicyViolation)
}

// OfTopic reports whether the topic accepts no record from this program, regardless of its content.
func (e *ProduceError) OfTopic() bool {
	return e.is(kerr.TopicAuthorizationFailed, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InvalidTopicException)
}

func (e *ProduceError) is(causes ...error) bool {
	return slices.ContainsFunc(causes, func(cause error) bool { return errors.Is(e.Err, cause) })
}

// Alone reports whether the record was refused because of itself, and not because of other records in its batch. A
// broker that finds a batch too large refuses all records in it.
func (e *ProduceError) Alone() bool {
	return !e.is(kerr.MessageTooLarge, kerr.RecordListTooLarge) || produceSize(e.Record) > e.Limit
}

// batchOverhead is the size of a batch of one record without the record's bytes: the header of the batch, and the
// header of the record without the lengths of its parts.
const batchOverhead = 61 + 7

// produceSize returns about the size of a batch with rec alone, and never more than that.
func produceSize(rec kgo.Record) int32 {
	n := batchOverhead + len(rec.Key) + len(rec.Value)
	for _, h := range rec.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return int32(min(n, 1<<31-1))
}

// defaultMaxBytes is the largest batch for topics whose limit is not known: franz-go's default, a little below Kafka's
// default of max.message.bytes.
const defaultMaxBytes = 1000012

// limit returns the largest batch that a topic accepts.
func (c WriterConfig) limit(topic string) int32 {
	if n, ok := c.MaxBytes[topic]; ok {
		return n
	}
	return defaultMaxBytes
}

// maxRefused bounds how many refusals of one transaction are kept. The next attempt finds the others.
const maxRefused = 4096

// recordFailure records that the broker did not accept rec. It is called on the client's goroutines.
func (w *Writer) recordFailure(rec *kgo.Record, err error) {
	refusal := &ProduceError{Record: *rec, Limit: w.cfg.limit(rec.Topic), Err: w.client.denied(fencedOr(err), "Write", "this topic")}
	if c, ok := rec.Context.(*recordContext); ok {
		refusal.Origin, refusal.Record.Context = c.origin, nil // the record itself will be reused
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mu.err == nil {
		w.mu.err = refusal
	}
	if refusal.Lasting() && len(w.mu.refused) < maxRefused {
		w.mu.refused = append(w.mu.refused, refusal)
	}
}

// Refused returns the records of the transaction that the broker would refuse again, a few thousand at most. Call it
// after Flush or Commit has failed.
func (w *Writer) Refused() []*ProduceError {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.mu.refused)
}
