package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/state"
)

// ErrFenced says that somebody else took over: this writer can never commit again and what it had open is aborted.
var ErrFenced = errors.New("fenced: another owner took over")

// DefaultTransactionTimeout is how long the broker waits for a silent owner before it aborts its open transaction.
// It bounds how long a dead owner's transaction holds readers back if nobody takes over.
const DefaultTransactionTimeout = 20 * time.Second

// WriterConfig names the owner's post: whoever holds the transactional id works, everybody before it is refused.
type WriterConfig struct {
	// TransactionalID is the stable name of what is owned, "<cluster>.<group>.<partition>". Required.
	TransactionalID string
	// Group is the consumer group whose offsets Commit writes. Empty if the writer commits none.
	Group string
	// Timeout is the transaction timeout; 0 means DefaultTransactionTimeout.
	Timeout time.Duration
	// MaxBytes are the largest batches that topics take, see Client.MaxMessageBytes. Topics that are not in it get
	// franz-go's default. Read only.
	MaxBytes map[string]int32
}

// Writer is a fenced transactional writer (design: "the fence"). From TakeOver on, nobody who held its transactional id
// before can commit anything. One transaction at a time; a Writer belongs to one goroutine, only its acknowledgement
// callbacks run on others.
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

	mu struct {
		sync.Mutex
		err     error           // first failed produce of the open transaction
		refused []*ProduceError // those that would fail again
	}
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
	opts := append(client.Options(),
		kgo.TransactionalID(cfg.TransactionalID),
		kgo.TransactionTimeout(cfg.Timeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchMaxBytesFn(cfg.limit),
		kgo.MetadataMinAge(metadataMinAge),
	)
	kafka, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("take over %s: %w", cfg.TransactionalID, err)
	}
	if _, _, err := kafka.ProducerID(ctx); err != nil {
		kafka.Close()
		return nil, fmt.Errorf("take over %s: %w", cfg.TransactionalID, client.denied(fencedOr(err), "Write", "this transactional id"))
	}
	return &Writer{
		client: client, kafka: kafka, cfg: cfg, topicIDs: make(map[string][16]byte),
		loading: make(map[state.TopicPartition]struct{}), settled: make(map[state.TopicPartition]struct{}),
	}, nil
}

// topicID asks once for each topic. A topic that is deleted and created again has another id: the broker then refuses
// the commit, and the takeover that follows asks again.
func (w *Writer) topicID(ctx context.Context, topic string) ([16]byte, error) {
	if id, ok := w.topicIDs[topic]; ok {
		return id, nil
	}
	id, err := w.client.TopicID(ctx, topic)
	if err == nil {
		w.topicIDs[topic] = id
	}
	return id, err
}

// Committed returns the group's committed offset for this partition of each topic, -1 where there is none. It waits
// until no transaction is pending on them (RequireStable): right after a commit an ordinary fetch may still answer
// the older offset.
func (w *Writer) Committed(ctx context.Context, topics []string, partition int32) (map[string]int64, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = w.cfg.Group
	byID := make(map[[16]byte]string, len(topics))
	for _, topic := range topics {
		id, err := w.topicID(ctx, topic)
		if err != nil {
			return nil, fmt.Errorf("committed offsets of group %s: %w", w.cfg.Group, err)
		}
		byID[id] = topic
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.TopicID, t.Partitions = topic, id, []int32{partition}
		group.Topics = append(group.Topics, t)
	}
	req.Groups = append(req.Groups, group)

	for {
		offsets, err := w.fetchOffsets(ctx, req, byID)
		if err == nil {
			return offsets, nil
		}
		if !kerr.IsRetriable(err) {
			return nil, fmt.Errorf("committed offsets of group %s: %w", w.cfg.Group, w.client.denied(err, "Describe", "this group and its topics"))
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, fmt.Errorf("committed offsets of group %s: %w", w.cfg.Group, err)
		}
	}
}

func (w *Writer) fetchOffsets(ctx context.Context, req *kmsg.OffsetFetchRequest, byID map[[16]byte]string) (map[string]int64, error) {
	resp, err := req.RequestWith(ctx, w.kafka)
	if err != nil {
		return nil, err
	}
	if len(resp.Groups) != 1 {
		return nil, fmt.Errorf("broker answered for %d groups, want 1", len(resp.Groups))
	}
	offsets := make(map[string]int64, len(byID))
	for _, topic := range byID {
		offsets[topic] = -1
	}
	if err := kerr.ErrorForCode(resp.Groups[0].ErrorCode); errors.Is(err, kerr.GroupIDNotFound) {
		return offsets, nil // nobody has joined or committed yet
	} else if err != nil {
		return nil, err
	}
	for _, t := range resp.Groups[0].Topics {
		name := t.Topic
		if name == "" {
			name = byID[t.TopicID]
		}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			offsets[name] = p.Offset
		}
	}
	return offsets, nil
}

// Begin opens a transaction. Nothing is sent before the first Produce.
func (w *Writer) Begin() error {
	w.mu.Lock()
	w.mu.err, w.mu.refused = nil, nil
	w.mu.Unlock()
	w.produced = false
	if err := w.kafka.BeginTransaction(); err != nil {
		return fmt.Errorf("begin transaction of %s: %w", w.cfg.TransactionalID, fencedOr(err))
	}
	return nil
}

// Produce adds a record to the open transaction. The record's partition must be set; its slices must not change until
// Commit returns. acked, if not nil, is called on another goroutine once the broker has it (its offset is set then);
// every acked call happens before Commit returns. Produce blocks while the client's buffer is full. A failure is
// kept and returned by Commit.
func (w *Writer) Produce(rec *kgo.Record, acked func(*kgo.Record)) {
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
	w.kafka.Produce(context.Background(), rec, func(rec *kgo.Record, err error) {
		if err != nil {
			w.refuse(rec, err)
			return
		}
		if acked != nil {
			acked(rec)
		}
	})
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
func (w *Writer) Commit(ctx context.Context, offsets state.Offsets) error {
	if err := w.Flush(ctx); err != nil {
		return err
	}
	fault.Point("writer.flushed")
	if len(offsets) > 0 {
		if err := w.commitOffsets(ctx, offsets); err != nil {
			return fmt.Errorf("commit offsets of group %s: %w", w.cfg.Group, w.client.denied(fencedOr(err), "Read", "this group and its topics"))
		}
	}
	fault.Point("writer.offsets")
	if err := w.settle(ctx); err != nil {
		return fmt.Errorf("end transaction of %s: %w", w.cfg.TransactionalID, err)
	}
	if err := w.kafka.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("end transaction of %s: %w", w.cfg.TransactionalID, fencedOr(err))
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

func (w *Writer) commitOffsets(ctx context.Context, offsets state.Offsets) error {
	id, epoch, err := w.kafka.ProducerID(ctx)
	if err != nil {
		return err
	}
	for {
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = w.cfg.TransactionalID, id, epoch, w.cfg.Group
		resp, err := add.RequestWith(ctx, w.kafka)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(resp.ErrorCode)
		if err == nil {
			break
		}
		if !retriableInTransaction(err) {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}

	fault.Point("writer.offsets-added")
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group = w.cfg.TransactionalID, w.cfg.Group
	req.ProducerID, req.ProducerEpoch = id, epoch
	// No member and no generation: the transactional id is the fence, the group only says who should own.
	req.Generation, req.MemberID = -1, ""
	topics := make(map[string]int)
	for tp, offset := range offsets {
		i, ok := topics[tp.Topic]
		if !ok {
			topicID, err := w.topicID(ctx, tp.Topic)
			if err != nil {
				return err
			}
			t := kmsg.NewTxnOffsetCommitRequestTopic()
			t.Topic, t.TopicID = tp.Topic, topicID // from version 6 on the request carries the id only (KIP-1319)
			i = len(req.Topics)
			topics[tp.Topic] = i
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = tp.Partition, offset
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	for tries := 0; ; tries++ {
		resp, err := req.RequestWith(ctx, w.kafka)
		if err != nil {
			return err
		}
		err = firstOffsetError(resp)
		if err == nil {
			return nil
		}
		if !retriableInTransaction(err) || errors.Is(err, kerr.UnknownTopicOrPartition) && tries > maxUnknownTopic {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// maxUnknownTopic is how often a commit is told that an input topic does not exist before it is believed: a coordinator
// may hear of a new topic a little later than others. It is one to two seconds.
const maxUnknownTopic = 200

func firstOffsetError(resp *kmsg.TxnOffsetCommitResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close drops the connections. What was not committed stays open on the broker until the next TakeOver of the same
// id or the transaction timeout ends it. It may be called twice.
func (w *Writer) Close() { w.closing.Do(w.kafka.Close) }

// fencedOr marks the broker's several words for "somebody took over" as ErrFenced and leaves other errors alone.
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

// retriableInTransaction says whether the coordinator merely asks for patience: it still ends the previous
// transaction, or is moving.
func retriableInTransaction(err error) bool {
	for _, busy := range []error{
		kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator,
		kerr.UnknownTopicOrPartition,
	} {
		if errors.Is(err, busy) {
			return true
		}
	}
	return false
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
