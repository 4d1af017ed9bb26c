package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/state"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrTimeoutRefused says that the brokers do not allow transactions to last that long.
var ErrTimeoutRefused = errors.New("transaction timeout")

// DefaultTransactionTimeout is how long the broker waits for a silent owner before it aborts its open transaction.
// It bounds how long a dead owner's transaction holds readers back if nobody takes over.
const DefaultTransactionTimeout = 20 * time.Second

// WriterConfig names the owner's post: whoever holds the transactional id works, everybody before it is refused.
type WriterConfig struct {
	// TransactionalID is the stable name of what is owned, "<cluster>.<group>.<partition>". Required.
	TransactionalID string
	// Group is the consumer group whose offsets Commit writes. Empty if the writer commits none.
	Group string
	// Timeout is the transaction timeout; 0 means DefaultTransactionTimeout. It also bounds Commit: the broker aborts
	// what takes longer.
	Timeout time.Duration
	// MaxBytes are the largest batches that topics take, see Client.MaxMessageBytes. Topics that are not in it get
	// franz-go's default. Read only.
	MaxBytes map[string]int32
	// Membership makes the writer work at least once, without transactions: offsets are committed in the name of the
	// group member that it returns, see [Membership]. Nil, the default, means exactly once.
	Membership func() Membership
	// Lease is how long the group keeps a silent member, its session timeout. Only with Membership; 0 means
	// DefaultSessionTimeout.
	Lease time.Duration
	// BufferBytes bounds the records that are produced and not acknowledged yet: Produce waits while there are more. The
	// default is DefaultProduceBytes; with less than MinProduceBytes it is that, and with less than the largest of
	// MaxBytes that.
	BufferBytes int64
}

// Bounds of WriterConfig.BufferBytes. A record that the brokers take by default has at most a megabyte.
const (
	DefaultProduceBytes = 16 << 20
	MinProduceBytes     = 1 << 20
)

// buffer bounds records by number as well, since the client counts no more than their keys and values.
func (c WriterConfig) buffer() []kgo.Opt {
	bytes := c.BufferBytes
	if bytes == 0 {
		bytes = DefaultProduceBytes
	}
	bytes = max(bytes, MinProduceBytes)
	for _, largest := range c.MaxBytes {
		bytes = max(bytes, int64(largest)) // the topic takes it, so the buffer must
	}
	return []kgo.Opt{kgo.MaxBufferedBytes(int(bytes)), kgo.MaxBufferedRecords(int(min(bytes/recordOverhead, maxBufferedRecords)))}
}

// maxBufferedRecords keeps the client well supplied; more would only wait.
const maxBufferedRecords = 50_000

// Writer is a fenced transactional writer (docs/decisions/0002-the-fence-decides.md). From TakeOver on, nobody who held its transactional id
// before can commit anything. One transaction at a time; a Writer belongs to one goroutine, only its acknowledgement
// callbacks run on others, and Interrupt may be called from anywhere.
//
// With a Membership it does the same things in the same order without a transaction (atleastonce.go).
//
// A Writer that returned an error is finished: whether the transaction was committed is either known to be no
// (ErrFenced) or unknown. In both cases the owner closes it and, if it still should own, takes over again: that
// settles the transaction one way or the other, and the committed offsets and the changelog say which.
type Writer struct {
	client   *Client
	kafka    *kgo.Client
	cfg      WriterConfig
	topicIDs map[string][16]byte // of the topics that offsets were read or committed for

	loading map[state.TopicPartition]struct{} // partitions that records went to and the client may not list yet, see settle
	settled map[state.TopicPartition]struct{} // partitions that it lists
	last    state.TopicPartition              // where the last record went

	produced bool // something, in the open transaction
	closing  sync.Once

	chunk *recordChunk // where Record takes records from
	kept  Promise      // nobody else wants to know

	alive     context.Context //nolint:containedctx // of the records, see Produce
	interrupt context.CancelCauseFunc
	begun     producerID // holder of the open transaction

	commits   map[string]string // by topic, the commit that its offset is of, see LastCommits
	committed int               // transactions

	// At least once only, see atleastonce.go.
	lease    context.Context //nolint:containedctx // of the records of a commit, nil before Confirm
	marked   map[string]bool // topics whose committed offsets may lag behind the state
	unmarked state.Offsets   // committed offsets that must be marked first

	mu struct {
		sync.Mutex
		err     error           // first failed produce of the open transaction
		refused []*ProduceError // those that would fail again
	}
}

// producerID is what the coordinator gave the holder of a transactional id.
type producerID struct {
	id    int64
	epoch int16
}

// TakeOver fences every earlier owner of the transactional id and returns a writer that holds it: the broker ends the
// open transaction of the previous owner and refuses it from now on. It waits while the broker is still ending that
// transaction. Committed offsets and high watermarks must be read after TakeOver, never before (KAFKA-10167, KIP-447).
func TakeOver(ctx context.Context, client *Client, cfg WriterConfig) (*Writer, error) {
	if cfg.TransactionalID == "" {
		return nil, errors.New("take over: no transactional id")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTransactionTimeout
	}
	w := &Writer{
		client: client, cfg: cfg, topicIDs: make(map[string][16]byte), marked: make(map[string]bool), commits: make(map[string]string),
		loading: make(map[state.TopicPartition]struct{}), settled: make(map[state.TopicPartition]struct{}),
	}
	w.alive, w.interrupt = context.WithCancelCause(context.Background())
	w.kept = w.Promise(nil)
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
		kgo.ProducerBatchMaxBytesFn(w.cfg.limit),
		kgo.MetadataMinAge(metadataMinAge),
	)
	opts = append(opts, w.cfg.buffer()...)
	if w.cfg.Membership != nil {
		if err := w.endTransactional(ctx); err != nil {
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

// Begin opens a transaction. Nothing is sent before the first Produce.
func (w *Writer) Begin() error {
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
// Commit returns. acked, if not nil, is called on another goroutine once the broker has it (its offset is set then);
// every acked call happens before Commit returns. Produce blocks while the client's buffer is full. A failure is
// kept and returned by Commit.
func (w *Writer) Produce(rec *kgo.Record, acked func(*kgo.Record)) {
	promise := w.kept
	if acked != nil {
		promise = w.Promise(acked)
	}
	w.Send(rec, promise)
}

// Send is Produce for those who produce a lot: with records of Record and a promise that is made once nothing is
// allocated.
func (w *Writer) Send(rec *kgo.Record, promise Promise) {
	w.produced = true
	// Most records go where the one before went, and need no look into the maps.
	if tp := (state.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}); tp != w.last {
		if _, ok := w.settled[tp]; !ok {
			w.loading[tp] = struct{}{}
		}
		w.last = tp
	}
	// The context of the record is not the caller's: a record dropped for a cancelled context would leave a gap in
	// the transaction that only Commit's error tells, and Commit already is what waits.
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
// At least one record must have been produced: a transaction without records is never ended by the client, so its
// offsets would stay pending. After nil everything is committed; after any error the Writer is finished, see Writer.
//
// It takes no longer than the transaction timeout. By then the broker has aborted the transaction, or does not answer,
// and only a takeover tells which.
func (w *Writer) Commit(ctx context.Context, offsets state.Offsets) error {
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
	if err := w.settle(ctx); err != nil {
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

// Discard ends the open transaction if nothing was produced in it, and reports whether that was so: then the broker never
// heard of it, and Begin may follow. A transaction with records can only be given up as a whole, with the Writer: the next
// TakeOver aborts it. To end it with an abort and go on would not be safe. A broker takes the abort of an owner that is one
// epoch behind for one that it has seen already (KIP-890), and some answer with the epoch of the present owner: whoever was
// overtaken would be let in again.
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

// bound returns a context of ctx that ends when the transaction would time out and when the writer is interrupted: records that
// are on the way cannot be taken back, and a flush would wait for them for ever.
func (w *Writer) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(w.alive, func() { end(context.Cause(w.alive)) })
	ctx, cancel := context.WithTimeoutCause(ctx, w.cfg.Timeout, fmt.Errorf("the brokers did not finish it in %v", w.cfg.Timeout))
	return ctx, func() { stop(); cancel(); end(nil) }
}

// timedOut adds to err why ctx ended, if it did: the client only says that a deadline is exceeded.
func (w *Writer) timedOut(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// sameProducer makes sure that the transaction was written under one epoch. After some answers of the broker the client
// asks for a new epoch and goes on with what it has left (kgo: errReloadProducerID). The broker then aborts what it has got so
// far, and a commit would make half a transaction final.
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

// settle waits until the client lists every partition that the transaction wrote to. When it produces to a topic for the
// first time, it sends the records before it stores the topic's partitions (kgo: storePartitionsUpdate). If the answer
// and the flush overtake that store, EndTransaction finds no partition that was written to, aborts what is acknowledged
// and returns nil; or it forgets to reset the partition's sequence, so that the next transaction is refused.
func (w *Writer) settle(ctx context.Context) error {
	for tp := range w.loading {
		for {
			if leader, _, err := w.kafka.PartitionLeader(tp.Topic, tp.Partition); leader >= 0 || err != nil {
				break
			}
			if err := pause(ctx, 100*time.Microsecond); err != nil {
				return err
			}
		}
		w.settled[tp] = struct{}{}
		delete(w.loading, tp)
	}
	return nil
}

// Interrupt gives up what was produced and is not acknowledged yet: a Produce that waits for room returns, and a Commit
// fails. It is for an owner that must end although no broker answers. Safe for concurrent use.
func (w *Writer) Interrupt() { w.interrupt(errInterrupted) }

var errInterrupted = errors.New("the writer was interrupted")

// Close drops the connections. What was not committed stays open on the broker until the next TakeOver of the same
// id or the transaction timeout ends it. It may be called twice.
func (w *Writer) Close() {
	w.closing.Do(func() {
		w.interrupt(errInterrupted)
		w.kafka.Close()
		w.closeChunk()
	})
}

// pause waits for d or for ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
