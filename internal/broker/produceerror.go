package broker

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ProduceError says that the broker did not accept a record of the open transaction.
type ProduceError struct {
	// Record is a copy of the record.
	Record kgo.Record
	// Origin is the input record that it was made from, nil if there is none.
	Origin *kgo.Record
	// Limits are what the record's topic accepts, as far as that is known.
	Limits Limits
	// At is when the record was refused.
	At time.Time
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *ProduceError) Error() string {
	switch {
	case errors.Is(e.Err, kerr.MessageTooLarge):
		return fmt.Sprintf("produce to %s/%d: a record of %d bytes: %v; make it smaller or raise max.message.bytes of the topic (%d)",
			e.Record.Topic, e.Record.Partition, produceSize(e.Record), e.Err, e.Limits.batch())
	case errors.Is(e.Err, kerr.InvalidTimestamp):
		return fmt.Sprintf("produce to %s/%d: a record of %s (%d): %v; %s",
			e.Record.Topic, e.Record.Partition, e.Record.Timestamp.UTC().Format(time.RFC3339), e.Record.Timestamp.UnixMilli(), e.Err, e.timeRemedy())
	case e.is(kerr.UnknownTopicOrPartition, kerr.UnknownTopicID):
		return fmt.Sprintf("produce to %s/%d: %v; the topic was deleted: create it again with the partitions that it had",
			e.Record.Topic, e.Record.Partition, e.Err)
	default:
		return fmt.Sprintf("produce to %s/%d: %v", e.Record.Topic, e.Record.Partition, e.Err)
	}
}

// timeRemedy says which setting refuses the time of the record, and what to do.
func (e *ProduceError) timeRemedy() string {
	setting, value := e.Limits.exceeded(e.Record.Timestamp, e.At)
	known := setting != ""
	if !known { // another record of the batch, a clock that is wrong, or a limit that is not known
		setting, value = timestampAfter, e.Limits.After
		if e.Record.Timestamp.Before(e.At) {
			setting, value = timestampBefore, e.Limits.Before
		}
	}
	text := "look at " + setting + " of the topic"
	if value > 0 {
		text = fmt.Sprintf("the topic takes times up to %s %s the clock of the broker (%s=%d)", durationText(value), limitSide(setting), setting, value)
	}
	if !known {
		text += ", at the other records of the batch, which were refused with it, and at the clocks of the machines"
	}
	return text + "; correct the time of the record, or let the topic take it: " + alter(e.Record.Topic, setting+"="+anyTime)
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

// OfTime reports whether the topic does not accept the time of the record, or of another one in its batch.
func (e *ProduceError) OfTime() bool { return e.is(kerr.InvalidTimestamp) }

func (e *ProduceError) is(causes ...error) bool {
	return slices.ContainsFunc(causes, func(cause error) bool { return errors.Is(e.Err, cause) })
}

// Alone reports whether the record was certainly refused because of itself, and not because of other records in its
// batch. A broker that does not accept one record of a batch refuses all of them.
func (e *ProduceError) Alone() bool {
	switch {
	case e.is(kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return produceSize(e.Record) > e.Limits.batch()
	case e.is(kerr.InvalidTimestamp):
		setting, _ := e.Limits.exceeded(e.Record.Timestamp, e.At)
		return setting != ""
	case e.is(kerr.InvalidRecord):
		return e.Record.Key == nil // a compacted topic takes no record without a key
	default:
		return true
	}
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

// batch returns the largest batch that the topic accepts.
func (l Limits) batch() int32 {
	if l.BatchBytes == 0 {
		return defaultMaxBytes
	}
	return l.BatchBytes
}

// maxRefused bounds how many refusals of one transaction are kept. The next attempt finds the others.
const maxRefused = 4096

// recordFailure records that the broker did not accept rec. It is called on the client's goroutines.
func (w *Writer) recordFailure(rec *kgo.Record, err error) {
	refusal := &ProduceError{Record: *rec, Limits: w.cfg.Limits[rec.Topic], At: time.Now(), Err: w.client.denied(fencedOr(err), "Write", "this topic")}
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
