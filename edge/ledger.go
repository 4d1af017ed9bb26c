package edge

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// ledger is what Kafka is to the owner of one partition.
type ledger interface {
	// claim makes known who is about to take over, outside of any transaction and fence.
	claim(ctx context.Context, row []byte) error
	// claimed returns the last claim that anybody made.
	claimed(ctx context.Context) (row []byte, err error)
	// takeOver fences all earlier owners of the partition.
	takeOver(ctx context.Context) (writer, error)
	// restore reads the committed changelog from an offset on, up to the high watermark of the moment of the call.
	restore(ctx context.Context, from int64, apply func([]*kgo.Record) error) (next int64, err error)
	// changelog identifies the changelog topic and says where its partition ends.
	changelog(ctx context.Context) (id [16]byte, end int64, err error)
}

// writer is what a takeover gives: see broker.Writer, which is one.
type writer interface {
	Begin() error
	Produce(record *kgo.Record, acked func(*kgo.Record))
	Flush(ctx context.Context) error
	Commit(ctx context.Context, offsets state.Offsets) error
	Close()
}

var _ writer = (*broker.Writer)(nil)

// kafkaLedger is the ledger of one partition on a cluster.
type kafkaLedger struct {
	client          *broker.Client
	topic           string // changelog
	owners          string // topic of claims
	partition       int32
	transactionalID string
	instance        string // of this server
}

// The claims have a topic of their own, since the changelog must have a single writer: its owner takes the offset of
// its last row for the offset of all that is in its store.

func (l *kafkaLedger) claim(ctx context.Context, row []byte) error {
	// With an id that nobody else has: a claim fences nobody.
	w, err := broker.TakeOver(ctx, l.client, broker.WriterConfig{TransactionalID: l.transactionalID + ".claim." + l.instance})
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Begin(); err != nil {
		return err
	}
	w.Produce(&kgo.Record{
		Topic: l.owners, Partition: l.partition, Key: strconv.AppendInt(nil, int64(l.partition), 10), Value: row,
	}, nil)
	return w.Commit(ctx, nil)
}

func (l *kafkaLedger) claimed(ctx context.Context) (row []byte, err error) {
	_, err = broker.Restore(ctx, l.client, l.owners, l.partition, 0, func(records []*kgo.Record) error {
		row = records[len(records)-1].Value
		return nil
	})
	if err == nil && row == nil {
		err = fmt.Errorf("topic %q has lost the claims of partition %d", l.owners, l.partition)
	}
	return row, err
}

func (l *kafkaLedger) takeOver(ctx context.Context) (writer, error) {
	w, err := broker.TakeOver(ctx, l.client, broker.WriterConfig{TransactionalID: l.transactionalID})
	if err != nil {
		return nil, err
	}
	return w, nil
}

func (l *kafkaLedger) restore(ctx context.Context, from int64, apply func([]*kgo.Record) error) (int64, error) {
	return broker.Restore(ctx, l.client, l.topic, l.partition, from, apply)
}

func (l *kafkaLedger) changelog(ctx context.Context) (id [16]byte, end int64, err error) {
	if id, err = l.client.TopicID(ctx, l.topic); err != nil {
		return id, 0, err
	}
	end, err = l.client.EndOffset(ctx, l.topic, l.partition)
	return id, end, err
}

// outcomeError is a failed transaction, and what is known of it.
type outcomeError struct {
	unknown bool // it may be committed nevertheless
	err     error
}

func (e *outcomeError) Error() string {
	if e.unknown {
		return fmt.Sprintf("outcome unknown: %v", e.err)
	}
	return fmt.Sprintf("not committed: %v", e.err)
}

func (e *outcomeError) Unwrap() error { return e.err }

// isFenced says whether err means that somebody took over.
func isFenced(err error) bool { return errors.Is(err, broker.ErrFenced) }
