package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/internal/invariants"
	"github.com/seed84377926/millrace/state"
)

// ErrTimeoutRefused says that the brokers do not allow transactions to last as long as configured.
var ErrTimeoutRefused = errors.New("transaction timeout")

// DefaultTransactionTimeout is how long the broker waits for a silent owner before it aborts its open transaction. If
// nobody takes over, a dead owner's transaction blocks readers for that long.
const DefaultTransactionTimeout = 20 * time.Second

// WriterConfig names what is owned: the holder of the transactional id works, and all earlier holders are refused.
type WriterConfig struct {
	// TransactionalID is the stable name of what is owned, "<cluster>.<group>.<partition>". Required.
	TransactionalID string
	// Group is the consumer group whose offsets Commit writes. Empty if the writer commits none.
	Group string
	// Timeout is the transaction timeout; 0 means DefaultTransactionTimeout. It also bounds Commit, since the broker
	// aborts a transaction that takes longer.
	Timeout time.Duration
	// Limits are what topics accept, see Client.Limits. Batches for topics without an entry have franz-go's default
	// size. The map is only read.
	Limits map[string]Limits
	// Membership makes the writer work at least once, without transactions: it commits offsets as the group member that
	// Membership returns, see [Membership]. Nil, the default, means exactly once.
	Membership func() Membership
	// Lease is how long the group keeps a silent member, its session timeout. Only with Membership; 0 means
	// DefaultSessionTimeout.
	Lease time.Duration
	// BufferBytes bounds the records that are produced and not acknowledged yet: Produce waits while there are more.
	// The default is DefaultProduceBytes, the minimum MinProduceBytes and the largest batch of Limits.
	BufferBytes int64
}

// Bounds of WriterConfig.BufferBytes. By default brokers accept records of up to one megabyte.
const (
	DefaultProduceBytes = 16 << 20
	MinProduceBytes     = 1 << 20
)

// buffer bounds the number of records as well, since the client counts only the bytes of their keys and values.
func (c WriterConfig) buffer() []kgo.Opt {
	bytes := c.BufferBytes
	if bytes == 0 {
		bytes = DefaultProduceBytes
	}
	bytes = max(bytes, MinProduceBytes)
	for _, limits := range c.Limits {
		bytes = max(bytes, int64(limits.BatchBytes)) // the topic accepts it, so the buffer must
	}
	return []kgo.Opt{kgo.MaxBufferedBytes(int(bytes)), kgo.MaxBufferedRecords(int(min(bytes/recordOverhead, maxBufferedRecords)))}
}

// maxBufferedRecords is enough to keep the client busy; more would only wait.
const maxBufferedRecords = 50_000

// Writer is a fenced transactional writer (docs/decisions/0002-the-fence-decides.md). From TakeOver on, no earlier
// holder of its transactional id can commit anything. It has one transaction at a time. It belongs to one goroutine,
// but its acknowledgement callbacks run on others, and Interrupt may be called from anywhere.
//
// With a Membership it does the same things in the same order without a transaction (atleastonce.go).
//
// A Writer that has returned an error is finished. The transaction is known not to have been committed (ErrFenced), or
// its outcome is unknown. In both cases the owner closes the Writer. If it should still be the owner, it takes over
// again: the takeover settles the transaction, and the committed offsets and the changelog show how.
type Writer struct {
	guard    invariants.Guard // I5
	client   *Client
	kafka    *kgo.Client
	cfg      WriterConfig
	topicIDs map[string][16]byte // of the topics that offsets were read or committed for

	unlisted map[state.TopicPartition]struct{} // partitions with records that the client may not list yet, see awaitListed
	listed   map[state.TopicPartition]struct{} // partitions that it lists
	last     state.TopicPartition              // where the last record went

	produced bool // a record, in the open transaction
	closing  sync.Once

	chunk *recordChunk // where Record takes records from
	noAck Promise      // of records without a callback

	alive     context.Context //nolint:containedctx // of the records, see Produce
	interrupt context.CancelCauseFunc
	begun     producerID // holder of the open transaction

	commits   map[string]string // by topic, the name of the commit of its offset, see LastCommits
	committed int               // transactions
	note      string            // see SetNote

	// At least once only, see atleastonce.go.
	lease    context.Context //nolint:containedctx // of the records of a commit; nil before Confirm
	marked   map[string]bool // topics whose committed offsets may lag behind the state
	unmarked state.Offsets   // committed offsets that must be marked first

	mu struct {
		sync.Mutex
		err     error           // first failed produce of the open transaction
		refused []*ProduceError // produces that would fail again
	}
}

// producerID is the id and epoch that the coordinator gave the holder of a transactional id.
type producerID struct {
	id    int64
	epoch int16
}

// Begin opens a transaction. Nothing is sent before the first Produce.
func (w *Writer) Begin() error {
	if invariants.Enabled {
		w.guard.Enter("I5", w.cfg.TransactionalID)
		defer w.guard.Exit()
	}
	w.mu.Lock()
	w.mu.err, w.mu.refused = nil, nil
	w.mu.Unlock()
	w.produced = false
	w.lease = nil
	if w.cfg.Membership != nil {
		return nil
	}
	if err := w.kafka.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction of %s: %w", w.cfg.TransactionalID, fencedOr(err))
	}
	var err error
	if w.begun, err = w.producer(w.alive); err != nil {
		return fmt.Errorf("begin transaction of %s: %w", w.cfg.TransactionalID, fencedOr(err))
	}
	return nil
}

// producer returns the id and epoch that the client produces with.
func (w *Writer) producer(ctx context.Context) (producerID, error) {
	id, epoch, err := w.kafka.ProducerID(ctx)
	return producerID{id, epoch}, err
}

// Produce adds a record to the open transaction. The record's partition must be set; its slices must not change until
// Commit returns. acked, if not nil, is called on another goroutine when the broker has the record, whose offset is
// then set; every call of acked happens before Commit returns. Produce blocks while the client's buffer is full. A
// failure is returned by Commit.
func (w *Writer) Produce(rec *kgo.Record, acked func(*kgo.Record)) {
	promise := w.noAck
	if acked != nil {
		promise = w.Promise(acked)
	}
	w.Send(rec, promise)
}

// Send is Produce without allocations, for records of Record and a promise that is made once.
func (w *Writer) Send(rec *kgo.Record, promise Promise) {
	if invariants.Enabled {
		w.guard.Enter("I5", w.cfg.TransactionalID)
		defer w.guard.Exit()
	}
	w.produced = true
	// Most records go to the same partition as the one before, and need no lookup.
	if tp := (state.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}); tp != w.last {
		if _, ok := w.listed[tp]; !ok {
			w.unlisted[tp] = struct{}{}
		}
		w.last = tp
	}
	// The context is not the caller's. If the client dropped a record because its context was cancelled, the
	// transaction would have a gap that only Commit reports, and Commit is the call that waits.
	ctx := w.alive
	if w.lease != nil {
		ctx = w.lease
	}
	w.kafka.Produce(ctx, rec, promise)
}

// Flush waits until the broker has every record produced so far and returns the first failure.
func (w *Writer) Flush(ctx context.Context) error {
	if err := w.kafka.Flush(ctx); err != nil {
		return fmt.Errorf("flush transaction of %s: %w", w.cfg.TransactionalID, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.err
}

// Commit flushes, adds the offsets (the next offset to read for each input partition) to the transaction and ends it.
// At least one record must have been produced: the client never ends a transaction without records, so its offsets
// would stay pending. If Commit returns nil, everything is committed; after any error the Writer is finished, see
// Writer.
//
// It takes no longer than the transaction timeout. After that the broker has aborted the transaction or does not
// answer, and only a takeover finds out which.
func (w *Writer) Commit(ctx context.Context, offsets state.Offsets) error {
	if invariants.Enabled {
		w.guard.Enter("I5", w.cfg.TransactionalID)
		defer w.guard.Exit()
	}
	ctx, cancel := w.bound(ctx)
	defer cancel()
	if err := w.Flush(ctx); err != nil {
		return w.timedOut(ctx, err)
	}
	fault.Point("writer.flushed")
	if w.cfg.Membership != nil {
		if err := w.commitAsMember(ctx, offsets); err != nil {
			return w.timedOut(ctx, fmt.Errorf("commit offsets of group %s: %w", w.cfg.Group, w.client.denied(err, "Read", "this group and its topics")))
		}
		return nil
	}
	if err := w.sameProducer(ctx); err != nil {
		return w.timedOut(ctx, fmt.Errorf("end transaction of %s: %w", w.cfg.TransactionalID, err))
	}
	if len(offsets) > 0 {
		if err := w.commitOffsets(ctx, offsets); err != nil {
			return w.timedOut(ctx, fmt.Errorf("commit offsets of group %s: %w", w.cfg.Group, w.client.denied(fencedOr(err), "Read", "this group and its topics")))
		}
	}
	fault.Point("writer.offsets")
	if err := w.awaitListed(ctx); err != nil {
		return w.timedOut(ctx, fmt.Errorf("end transaction of %s: %w", w.cfg.TransactionalID, err))
	}
	if err := w.kafka.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return w.timedOut(ctx, fmt.Errorf("end transaction of %s: %w", w.cfg.TransactionalID, fencedOr(err)))
	}
	name := w.commitName()
	for tp := range offsets {
		w.commits[tp.Topic] = name
	}
	w.committed++
	return nil
}

// Discard ends the open transaction if nothing was produced in it, and reports whether it did. The broker does not know
// of such a transaction, and Begin may follow. A transaction with records can only be given up together with the
// Writer: the next TakeOver aborts it. It would not be safe to end it with an abort and to continue. If the owner was
// fenced and is one epoch behind, a broker takes its abort for a retry (KIP-890), and some brokers answer with the
// epoch of the new owner. Then the fenced owner could write again.
func (w *Writer) Discard(ctx context.Context) (bool, error) {
	if w.produced {
		return false, nil
	}
	if w.cfg.Membership != nil {
		return true, nil
	}
	if err := w.kafka.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return false, fmt.Errorf("abort transaction of %s: %w", w.cfg.TransactionalID, fencedOr(err))
	}
	return true, nil
}

// bound returns a child of ctx that ends when the transaction would time out and when the writer is interrupted.
// Without it a flush might wait for ever, since records on their way to the broker cannot be withdrawn.
func (w *Writer) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(w.alive, func() { end(context.Cause(w.alive)) })
	ctx, cancel := context.WithTimeoutCause(ctx, w.cfg.Timeout, fmt.Errorf("the brokers did not finish it in %v", w.cfg.Timeout))
	return ctx, func() { stop(); cancel(); end(nil) }
}

// timedOut adds the cause to err if ctx has ended, because the client only reports that a deadline is exceeded.
func (w *Writer) timedOut(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// sameProducer checks that the whole transaction was written under one epoch. After some answers of the broker the
// client asks for a new epoch and continues with its remaining records (kgo: errReloadProducerID). The broker then
// aborts the earlier records, and a commit would commit half a transaction.
func (w *Writer) sameProducer(ctx context.Context) error {
	now, err := w.producer(ctx)
	if err != nil {
		return fencedOr(err)
	}
	if now != w.begun {
		return fmt.Errorf("the producer was renewed within it, from %d/%d to %d/%d: its first part is aborted",
			w.begun.id, w.begun.epoch, now.id, now.epoch)
	}
	return nil
}

// awaitListed waits until the client lists every partition that the transaction wrote to. When the client produces to a
// topic for the first time, it sends the records before it stores the topic's partitions (kgo: storePartitionsUpdate).
// If the answer and the flush overtake that store, EndTransaction finds no partition that was written to. Then it
// aborts acknowledged records and returns nil, or it does not reset the partition's sequence, so that the next
// transaction is refused.
func (w *Writer) awaitListed(ctx context.Context) error {
	for tp := range w.unlisted {
		for {
			if leader, _, err := w.kafka.PartitionLeader(tp.Topic, tp.Partition); leader >= 0 || err != nil {
				break
			}
			if err := pause(ctx, 100*time.Microsecond); err != nil {
				return err
			}
		}
		w.listed[tp] = struct{}{}
		delete(w.unlisted, tp)
	}
	return nil
}

// Interrupt gives up the records that are not acknowledged yet: a Produce that waits for room returns, and a Commit
// fails. It is for an owner that must end although no broker answers. Safe for concurrent use.
func (w *Writer) Interrupt() { w.interrupt(errInterrupted) }

var errInterrupted = errors.New("the writer was interrupted")

// Close closes the connections. A transaction that was not committed stays open on the broker until the next TakeOver
// of the same id or the transaction timeout ends it. It may be called twice.
func (w *Writer) Close() {
	w.closing.Do(func() {
		w.interrupt(errInterrupted)
		w.kafka.Close()
		w.closeChunk()
	})
}
