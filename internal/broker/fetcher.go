package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
)

const (
	// fetchMaxWait is how long a broker may hold a fetch without data. Data is answered at once, but a partition that
	// is added waits until the fetch under way, which does not contain it, has been answered.
	fetchMaxWait = 100 * time.Millisecond

	// metadataMinAge replaces the five seconds that franz-go waits between two metadata updates. Otherwise a partition
	// that is added, a new topic or a leader that moved would delay a task for as long.
	metadataMinAge = 20 * time.Millisecond
)

// Fetcher reads any number of partitions, read_committed, over one client. Each partition is a [Feed], which can be
// added and closed at any time. A slow feed is paused and does not block the others.
//
// One goroutine, started by NewFetcher and ended by Close, polls the client, and only it changes what the client reads.
// Partitions are added and removed between two polls, so that records that were fetched for an earlier feed of a
// partition never reach a later one.
type Fetcher struct {
	client *Client
	budget *FetchBudget
	kafka  *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}
	memory int          // bytes of all feeds and the runs made of them; 0: the budget bounds each feed
	open   atomic.Int64 // number of open feeds

	mu struct {
		sync.Mutex
		closed  bool
		wake    context.CancelFunc // ends the poll under way
		changes []func()           // of what the client reads, to carry out before the next poll
	}
	feeds map[state.TopicPartition]*Feed // touched by the polling goroutine only
}

// NewFetcher connects a fetcher. The records that it holds count in budget, which other fetchers may share; nil means a
// budget of its own of DefaultFetchBytes. Close it to end its goroutine.
func NewFetcher(client *Client, budget *FetchBudget) (*Fetcher, error) {
	if budget == nil {
		budget = NewFetchBudget(DefaultFetchBytes, 1, 1)
	}
	return newFetcher(client, budget, 0, budget.options()...)
}

func newFetcher(client *Client, budget *FetchBudget, memory int, more ...kgo.Opt) (*Fetcher, error) {
	opts := append(client.Options(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // positions count markers: without them a feed would never reach the end of its log
		kgo.FetchMaxWait(fetchMaxWait),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.MetadataMinAge(metadataMinAge), // an added partition is read after a metadata update
	)
	kafka, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("fetcher: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Fetcher{
		client: client, budget: budget, kafka: kafka, cancel: cancel, done: make(chan struct{}), memory: memory,
		feeds: make(map[state.TopicPartition]*Feed),
	}
	go f.run(ctx)
	return f, nil
}

// Close ends all feeds and the fetcher's goroutine. It may be called twice.
func (f *Fetcher) Close() {
	f.mu.Lock()
	f.mu.closed = true
	f.mu.Unlock()
	f.cancel()
	<-f.done
	f.kafka.Close()
}

// Add starts reading a partition at offset from. A partition has at most one open feed. ready is signalled when the
// feed has a batch to take, so that one goroutine can wait for several feeds; it must have room for one signal. If it
// is nil, the feed makes its own.
func (f *Fetcher) Add(topic string, partition int32, from int64, ready chan struct{}) *Feed {
	if ready == nil {
		ready = make(chan struct{}, 1)
	}
	feed := &Feed{fetcher: f, tp: state.TopicPartition{Topic: topic, Partition: partition}, ready: ready}
	feed.mu.next = from
	f.open.Add(1)
	f.budget.feeds.Add(1)
	f.change(func() {
		if f.feeds[feed.tp] != nil {
			feed.fail(fmt.Errorf("read %s/%d: it already has a feed", topic, partition))
			return
		}
		f.feeds[feed.tp] = feed
		f.kafka.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}})
	})
	return feed
}

// Forget makes the client forget topics that are no longer read. Otherwise a topic that is deleted and created again
// would never be read: the client knows its old id.
func (f *Fetcher) Forget(topics ...string) {
	f.change(func() { f.kafka.PurgeTopicsFromClient(topics...) })
}

// change queues fn for the polling goroutine and wakes it.
func (f *Fetcher) change(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.changes = append(f.mu.changes, fn)
	if f.mu.wake != nil {
		f.mu.wake()
	}
}

func (f *Fetcher) run(ctx context.Context) {
	defer close(f.done)
	for {
		pollCtx, changes := f.beginPoll(ctx)
		for _, change := range changes {
			change()
		}
		if ctx.Err() != nil {
			break
		}
		if len(changes) == 0 {
			f.dispatch(pollCtx, f.kafka.PollFetches(pollCtx))
		}
	}
	for _, feed := range f.feeds {
		feed.fail(errors.New("fetcher is closed"))
	}
}

// beginPoll returns the queued changes. If there are none, the next change cancels the context that it returns.
func (f *Fetcher) beginPoll(ctx context.Context) (context.Context, []func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.wake != nil {
		f.mu.wake()
		f.mu.wake = nil
	}
	changes := f.mu.changes
	f.mu.changes = nil
	if len(changes) > 0 {
		return ctx, changes
	}
	ctx, f.mu.wake = context.WithCancel(ctx)
	return ctx, nil
}

func (f *Fetcher) dispatch(pollCtx context.Context, fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		feed := f.feeds[state.TopicPartition{Topic: p.Topic, Partition: p.Partition}]
		if feed == nil {
			return // an error that the client injects for a cancelled poll, or a partition that was just removed
		}
		if p.Err != nil && pollCtx.Err() == nil {
			feed.fail(f.readError(p, feed))
		}
		if len(p.Records) == 0 {
			return
		}
		if feed.put(p.Records) {
			f.kafka.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
		}
	})
}

// ErrOffsetLost says that the log does not have the offset to read, or no longer has it.
var ErrOffsetLost = errors.New("offset is not in the log")

func (f *Fetcher) readError(p kgo.FetchTopicPartition, feed *Feed) error {
	if errors.Is(p.Err, kerr.OffsetOutOfRange) {
		start, end := f.bounds(p)
		cause := "its retention deleted records that were not processed yet"
		if feed.Fetched() > end {
			cause = "records that were processed are gone from its end: an unclean leader election, or a broker restored from a backup"
		}
		return fmt.Errorf("read %s/%d from offset %d, in a log from %d to %d: %w; %s; "+
			"to go on without them, build the state anew: delete the state directory and the table of the group, and reset its offsets",
			p.Topic, p.Partition, feed.Fetched(), start, end, ErrOffsetLost, cause)
	}
	return fmt.Errorf("read %s/%d: %w", p.Topic, p.Partition, f.client.denied(p.Err, "Read", "this topic"))
}

// bounds returns the first offset of the log and the one after its last. Kafka does not send them with the error.
func (f *Fetcher) bounds(p kgo.FetchTopicPartition) (start, end int64) {
	if p.LogStartOffset >= 0 && p.HighWatermark >= 0 {
		return p.LogStartOffset, p.HighWatermark
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	start, err := f.client.StartOffset(ctx, p.Topic, p.Partition)
	if err != nil {
		start = -1
	}
	if end, err = f.client.EndOffset(ctx, p.Topic, p.Partition); err != nil {
		end = math.MaxInt64 // not known
	}
	return start, end
}

// Batch is a sequence of records of one partition in offset order, without markers. Next is the position after it,
// markers included: it may be more than one after the last record, and a batch may have no records and only move the
// position.
type Batch struct {
	Records []*kgo.Record
	Next    int64
}

// Feed is one partition being read. One goroutine takes from it; Close may come from another.
type Feed struct {
	fetcher *Fetcher
	tp      state.TopicPartition
	ready   chan struct{}

	mu struct {
		sync.Mutex
		batches []Batch
		bytes   int64
		paused  bool
		closed  bool
		next    int64 // position after everything fetched so far
		err     error
	}
}

// Take returns the next batch, or false if there is none yet; the feed's channel is signalled when there is one. A
// signal may be spurious. An error ends the feed.
func (f *Feed) Take() (Batch, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mu.batches) == 0 {
		return Batch{}, false, f.mu.err
	}
	batch := f.mu.batches[0]
	f.mu.batches[0] = Batch{}
	f.mu.batches = f.mu.batches[1:]
	f.count(-batchSize(batch))
	if f.mu.paused && f.mu.bytes < int64(f.fetcher.feedShare()/4) {
		f.mu.paused = false
		f.fetcher.change(f.resume)
	}
	return batch, true, nil
}

// Next waits for a batch.
func (f *Feed) Next(ctx context.Context) (Batch, error) {
	for {
		batch, ok, err := f.Take()
		if ok || err != nil {
			return batch, err
		}
		select {
		case <-f.ready:
		case <-ctx.Done():
			return Batch{}, context.Cause(ctx)
		}
	}
}

// Fetched returns the position after everything fetched so far, taken or not.
func (f *Feed) Fetched() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.next
}

// Close stops reading the partition and drops the batches that were not taken. It may be called twice.
func (f *Feed) Close() {
	f.mu.Lock()
	closed := f.mu.closed
	f.mu.closed = true
	f.mu.batches = nil
	f.count(-f.mu.bytes)
	f.mu.Unlock()
	if closed {
		return
	}
	f.fetcher.open.Add(-1)
	f.fetcher.budget.feeds.Add(-1)
	f.fetcher.change(func() {
		if f.fetcher.feeds[f.tp] != f {
			return
		}
		delete(f.fetcher.feeds, f.tp)
		partition := map[string][]int32{f.tp.Topic: {f.tp.Partition}}
		f.fetcher.kafka.RemoveConsumePartitions(partition)
		f.fetcher.kafka.ResumeFetchPartitions(partition)
	})
}

func (f *Feed) resume() {
	if f.fetcher.feeds[f.tp] == f {
		f.fetcher.kafka.ResumeFetchPartitions(map[string][]int32{f.tp.Topic: {f.tp.Partition}})
	}
}

// put queues the records of a fetch and reports whether the partition must be paused now.
func (f *Feed) put(records []*kgo.Record) (pause bool) {
	batch := Batch{Next: records[len(records)-1].Offset + 1}
	batch.Records = withoutControl(records)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.closed {
		return false
	}
	f.count(batchSize(batch))
	f.mu.batches = append(f.mu.batches, batch)
	f.mu.next = batch.Next
	f.signal()
	if f.mu.bytes > int64(f.fetcher.feedShare()) && !f.mu.paused {
		f.mu.paused = true
		return true
	}
	return false
}

func (f *Feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.err == nil {
		f.mu.err = err
	}
	f.signal()
}

func (f *Feed) signal() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// count adds bytes to the size of the feed. The caller holds f.mu.
func (f *Feed) count(bytes int64) {
	f.mu.bytes += bytes
	f.fetcher.budget.used.Add(bytes)
}

// batchSize returns the memory of a batch: the bytes of its records and the records themselves.
func batchSize(batch Batch) (bytes int64) {
	for _, rec := range batch.Records {
		bytes += int64(len(rec.Key)+len(rec.Value)) + recordOverhead
	}
	return bytes
}

const recordOverhead = 200
