package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TableStore is where goka's table recovery puts what it reads from a changelog partition.
type TableStore interface {
	// Get appends the value of a row to dst and reports whether it exists.
	Get(dst, key []byte) ([]byte, bool, error)
	// Offset returns the last changelog offset the table reflects, and false if there is none.
	Offset() (int64, bool)
	// Restore applies a run of records and remembers, in the same batch, that the table reflects the changelog up
	// to and including offset last. records may be empty: markers move the offset too.
	Restore(records []*kgo.Record, last int64) error
}

// tableReader is the consumer goka recovers and follows tables with. It reads read_committed, hands goka one message
// for each fetched batch, and counts markers, so that recovery of a transactional table ends: goka waits for the
// message at high watermark - 1, which in such a log is a marker that ordinary consumers never show.
type tableReader struct {
	fetcher *Fetcher
	batches *handles[Batch]
	logger  *slog.Logger
}

func (c tableReader) ConsumePartition(topic string, partition int32, from int64) (sarama.PartitionConsumer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	pc := &tablePartition{
		topic: topic, partition: partition,
		cancel:   cancel,
		logger:   c.logger,
		messages: make(chan *sarama.ConsumerMessage, 1),
		errs:     make(chan *sarama.ConsumerError, 1),
	}
	go pc.run(ctx, c.fetcher.Add(topic, partition, from, nil), c.batches)
	return pc, nil
}

// tablePartition pumps one feed into goka. Its goroutine starts with ConsumePartition and ends with AsyncClose, after
// which goka drains both channels until they are closed.
type tablePartition struct {
	topic     string
	partition int32
	cancel    context.CancelFunc
	logger    *slog.Logger
	messages  chan *sarama.ConsumerMessage
	errs      chan *sarama.ConsumerError
}

func (p *tablePartition) run(ctx context.Context, feed *Feed, batches *handles[Batch]) {
	// goka takes a closed channel for a table that is recovered: nothing may be closed before AsyncClose, and the
	// feed must be given back before goka can ask for the same partition again.
	defer close(p.messages)
	defer close(p.errs)
	defer feed.Close()
	for {
		batch, err := feed.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.logger.Warn("table cannot be read; it is tried again", slog.Any("error", err))
			p.errs <- &sarama.ConsumerError{Topic: p.topic, Partition: p.partition, Err: err}
			<-ctx.Done()
			return
		}
		id := batches.put(batch)
		msg := &sarama.ConsumerMessage{Topic: p.topic, Partition: p.partition, Offset: batch.Next - 1, Value: id}
		if n := len(batch.Records); n > 0 {
			msg.Timestamp = batch.Records[n-1].Timestamp
		}
		select {
		case p.messages <- msg:
		case <-ctx.Done():
			batches.take(id)
			return
		}
	}
}

func (p *tablePartition) AsyncClose() { p.cancel() }

func (p *tablePartition) Close() error {
	p.cancel()
	for range p.messages { // draining is what sarama's contract asks for
	}
	return nil
}

func (p *tablePartition) Messages() <-chan *sarama.ConsumerMessage { return p.messages }
func (p *tablePartition) Errors() <-chan *sarama.ConsumerError     { return p.errs }
func (p *tablePartition) HighWaterMarkOffset() int64               { return 0 }
func (p *tablePartition) Pause()                                   {}
func (p *tablePartition) Resume()                                  {}
func (p *tablePartition) IsPaused() bool                           { return false }

// The rest of sarama.Consumer, which goka does not use.

func (c tableReader) Topics() ([]string, error)          { return nil, errors.ErrUnsupported }
func (c tableReader) Partitions(string) ([]int32, error) { return nil, errors.ErrUnsupported }

func (c tableReader) HighWaterMarks() map[string]map[int32]int64 { return nil }
func (c tableReader) Close() error                               { return nil } // the fetcher belongs to who made it
func (c tableReader) Pause(map[string][]int32)                   {}
func (c tableReader) Resume(map[string][]int32)                  {}
func (c tableReader) PauseAll()                                  {}
func (c tableReader) ResumeAll()                                 {}

// rawCodec is the codec of goka's table, whose values goka never has to look at.
type rawCodec struct{}

func (rawCodec) Encode(v any) ([]byte, error) {
	data, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("encode %T: want bytes", v)
	}
	return data, nil
}

func (rawCodec) Decode(data []byte) (any, error) { return data, nil }

// TableViewConfig describes a goka view over a group's table.
type TableViewConfig struct {
	Client  *Client
	Fetcher *Fetcher // reads the table; a partition that a fetcher reads for one view it cannot read for another
	Topic   string
	// Open returns where partition p is kept.
	Open   func(p int32) (TableStore, error)
	Logger *slog.Logger
}

// TableView is a goka view: a full local copy of a group's table, kept up to date.
type TableView struct {
	view    *goka.View
	batches handles[Batch]
}

// NewTableView makes the view; Run fills and follows it. The topic must exist.
func NewTableView(cfg TableViewConfig) (*TableView, error) {
	v := &TableView{}
	view, err := goka.NewView(nil, goka.Table(cfg.Topic), rawCodec{},
		goka.WithViewLogger(gokaLog{cfg.Logger}),
		goka.WithViewHasher(javaHash),
		goka.WithViewAutoReconnect(),
		goka.WithViewBackoffBuilder(newTableBackoff),
		goka.WithViewTopicManagerBuilder(func([]string) (goka.TopicManager, error) { return gokaTopics{cfg.Client}, nil }),
		goka.WithViewConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) {
			return tableReader{fetcher: cfg.Fetcher, batches: &v.batches, logger: cfg.Logger}, nil
		}),
		goka.WithViewStorageBuilder(func(_ string, p int32) (storage.Storage, error) {
			table, err := cfg.Open(p)
			if err != nil {
				return nil, err
			}
			return gokaTable{table, &v.batches, cfg.Logger}, nil
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("view of %s: %w", cfg.Topic, err)
	}
	v.view = view
	return v, nil
}

// Run recovers the view and follows its table until ctx ends; broken connections are retried. It may be called once.
func (v *TableView) Run(ctx context.Context) error { return v.view.Run(ctx) }

// Running is closed once every partition has caught up with the end its table had when the view started.
func (v *TableView) Running() <-chan struct{} { return v.view.WaitRunning() }

// TableViewStats is goka's own account of a view, as JSON.
type TableViewStats struct {
	State string          `json:"state"`
	Stats *goka.ViewStats `json:"stats"`
}

// Stats returns goka's account of the view.
func (v *TableView) Stats(ctx context.Context) TableViewStats {
	return TableViewStats{State: viewStateName(v.view.CurrentState()), Stats: v.view.Stats(ctx)}
}

func viewStateName(s goka.ViewState) string {
	switch s {
	case goka.ViewStateIdle:
		return "idle"
	case goka.ViewStateInitializing:
		return "initializing"
	case goka.ViewStateConnecting:
		return "connecting"
	case goka.ViewStateCatchUp:
		return "catching up"
	case goka.ViewStateRunning:
		return "running"
	default:
		return fmt.Sprintf("state %d", s)
	}
}

// tableBackoff doubles the pause between two attempts to read a table.
type tableBackoff struct{ next time.Duration }

func newTableBackoff() (goka.Backoff, error) { return &tableBackoff{}, nil }

func (b *tableBackoff) Duration() time.Duration {
	b.next = min(max(2*b.next, 100*time.Millisecond), 5*time.Second)
	return b.next
}

func (b *tableBackoff) Reset() { b.next = 0 }
