package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/state"
)

// ErrFenced says that another owner took over: this writer can never commit again, and its open transaction is aborted.
var ErrFenced = errors.New("fenced: another owner took over")

// fencedOr wraps err with ErrFenced if it is a broker's way to say that another owner took over. It returns other
// errors as they are.
func fencedOr(err error) error {
	for _, fenced := range []error{
		kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.FencedInstanceID,
	} {
		if errors.Is(err, fenced) {
			return fmt.Errorf("%w (%w)", ErrFenced, err)
		}
	}
	return err
}

// TakeOver fences every earlier owner of the transactional id and returns a writer that holds it: the broker ends the
// open transaction of the previous owner and refuses that owner from now on. TakeOver waits until the transaction has
// ended. Committed offsets and high watermarks must be read after TakeOver, never before (KAFKA-10167, KIP-447).
func TakeOver(ctx context.Context, client *Client, cfg WriterConfig) (*Writer, error) {
	if cfg.TransactionalID == "" {
		return nil, errors.New("take over: no transactional id")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTransactionTimeout
	}
	w := &Writer{
		client: client, cfg: cfg, topicIDs: make(map[string][16]byte), marked: make(map[string]bool), commits: make(map[string]string),
		unlisted: make(map[state.TopicPartition]struct{}), listed: make(map[state.TopicPartition]struct{}),
	}
	w.alive, w.interrupt = context.WithCancelCause(context.Background())
	w.noAck = w.Promise(nil)
	if err := w.takeOver(ctx); err != nil {
		if errors.Is(err, kerr.InvalidTransactionTimeout) {
			err = fmt.Errorf("%w: %v is more than the brokers allow (%w): lower it, or raise their transaction.max.timeout.ms", ErrTimeoutRefused, cfg.Timeout, err)
		}
		return nil, fmt.Errorf("take over %s: %w", cfg.TransactionalID, client.denied(fencedOr(err), "Write", "this transactional id"))
	}
	return w, nil
}

func (w *Writer) takeOver(ctx context.Context) (err error) {
	opts := append(w.client.Options(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 { return w.cfg.Limits[topic].batch() }),
		kgo.MetadataMinAge(metadataMinAge),
	)
	opts = append(opts, w.cfg.buffer()...)
	if w.cfg.Membership != nil {
		if err := w.fenceTransactional(ctx); err != nil {
			return err
		}
		w.kafka, err = kgo.NewClient(opts...)
		return err
	}
	w.kafka, err = kgo.NewClient(append(opts, kgo.TransactionalID(w.cfg.TransactionalID), kgo.TransactionTimeout(w.cfg.Timeout))...)
	if err != nil {
		return err
	}
	if _, _, err := w.kafka.ProducerID(ctx); err != nil {
		w.Close()
		return err
	}
	return nil
}

// fenceTransactional fences the holder of the transactional id and ends its open transaction, if there is one: an
// earlier run of the application may have worked exactly once.
func (w *Writer) fenceTransactional(ctx context.Context) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = &w.cfg.TransactionalID
	req.TransactionTimeoutMillis = int32(w.cfg.Timeout.Milliseconds())
	req.ProducerID, req.ProducerEpoch = -1, -1
	return retry(ctx, 20*time.Millisecond, retriableInTransaction, func() error {
		resp, err := req.RequestWith(ctx, w.client.kafka)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
}

// asMember calls ask with the current membership until the coordinator has given a final answer. During a rebalance the
// coordinator accepts no offsets for a while, or the client does not know the new generation yet. asMember then asks
// again: a member that stays in the group succeeds in the end, and any other member is fenced.
//
// The membership may be read at any time. A task that still works has not been taken away: before this member joins the
// next generation, the group waits until the tasks that it takes away have ended.
func (w *Writer) asMember(ctx context.Context, ask func(Membership) error) error {
	for {
		m := w.cfg.Membership()
		if m.Member == "" {
			return fmt.Errorf("%w (this instance is not in the group)", ErrFenced)
		}
		err := ask(m)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kerr.RebalanceInProgress), retriableInTransaction(err):
		case errors.Is(err, kerr.IllegalGeneration) && w.cfg.Membership().Generation != m.Generation:
		case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.FencedInstanceID):
			return fmt.Errorf("%w (%w)", ErrFenced, err)
		default:
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}
