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

// ledger is the part of Kafka that the owner of one partition uses.
type ledger interface {
	// claim announces which instance is about to take over. It is independent of the owner's transactions and fence.
	claim(ctx context.Context, row []byte) error
	// claimed returns the last claim of any instance.
	claimed(ctx context.Context) (row []byte, err error)
	// takeOver fences all earlier owners of the partition.
	takeOver(ctx context.Context) (writer, error)
	// restore reads the committed changelog from an offset to the high watermark that it has at the call.
	restore(ctx context.Context, from int64, apply func([]*kgo.Record) error) (next int64, err error)
	// changelog returns the id of the changelog topic and the end of its partition.
	changelog(ctx context.Context) (id [16]byte, end int64, err error)
}

// writer is the writer that a takeover returns, a broker.Writer.
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

// The claims have a topic of their own, because the changelog must have a single writer: its owner assumes that its
// store reflects the changelog up to the last row that the owner wrote.

// kafkaLedgers returns a function that makes the ledgers of one aggregate type. The transactional id includes the id of
// the cluster, so that clusters that are bridged or share a proxy do not fence each other.
func kafkaLedgers(client *broker.Client, group, instance string) func(int32) ledger {
	return func(partition int32) ledger {
		return &kafkaLedger{
			client: client, instance: instance, topic: group + "-state", owners: group + "-owners", partition: partition,
			transactionalID: fmt.Sprintf("%s.%s.%d", client.ClusterID(), group, partition),
		}
	}
}

func (l *kafkaLedger) claim(ctx context.Context, row []byte) error {
	// The transactional id is unique: a claim fences nobody.
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

// isFenced reports whether err means that another owner took over.
func isFenced(err error) bool { return errors.Is(err, broker.ErrFenced) }
