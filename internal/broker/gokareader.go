package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/IBM/sarama"
)

// TableStore keeps the rows that goka's table recovery reads from a changelog partition.
type TableStore interface {
	// Get appends the value of a row to dst and reports whether it exists.
	Get(dst, key []byte) ([]byte, bool, error)
	// Offset returns the last changelog offset the table reflects, and false if there is none.
	Offset() (int64, bool)
	// Restore applies a run and records, in the same batch, that the table reflects the changelog up to and including
	// the run's last offset. A run may have no rows, since markers move the offset too. Restore must not keep the run.
	Restore(run *Run) error
}

// tableReader is the consumer that goka uses to recover and follow tables. It reads read_committed and hands goka one
// message for each run of fetched batches. It counts markers, so that the recovery of a transactional table ends: goka
// waits for the message at high watermark - 1, which in such a log is a marker that ordinary consumers never return.
type tableReader struct {
	client  *Client
	fetcher *Fetcher
	runs    *handles[*Run]
	restart func(p int32) <-chan struct{} // see TableViewConfig; may be nil
	foreign bool                          // see TableViewConfig
	logger  *slog.Logger
}

func (c tableReader) ConsumePartition(topic string, partition int32, from int64) (sarama.PartitionConsumer, error) {
	ctx, cancel := context.WithCancel(context.Background())
	pc := &tablePartition{
		tableReader: c,
		topic:       topic, partition: partition,
		cancel:   cancel,
		messages: make(chan *sarama.ConsumerMessage),
		errs:     make(chan *sarama.ConsumerError, 1),
	}
	var restart <-chan struct{}
	if c.restart != nil {
		restart = c.restart(partition)
	}
	go pc.run(ctx, c.fetcher.Add(topic, partition, from, nil), restart)
	return pc, nil
}

// tablePartition passes one feed to goka. Its goroutine starts with ConsumePartition and ends after AsyncClose, when
// goka drains both channels until they are closed.
type tablePartition struct {
	tableReader
	topic     string
	partition int32
	cancel    context.CancelFunc
	messages  chan *sarama.ConsumerMessage
	errs      chan *sarama.ConsumerError
}

func (p *tablePartition) run(ctx context.Context, feed *Feed, restart <-chan struct{}) {
	// To goka a closed channel means a recovered table, so nothing may be closed before AsyncClose. The feed must be
	// closed before goka can ask for the same partition again.
	defer close(p.messages)
	defer close(p.errs)
	defer feed.Close()
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer watchRestart(reading, cancel, restart)()
	end, err := p.client.EndOffset(reading, p.topic, p.partition)
	if err == nil {
		err = p.pump(reading, newGatherer(feed, end, p.foreign))
	}
	if ctx.Err() != nil {
		return
	}
	p.logger.Warn("table cannot be read; it is tried again", slog.Any("error", err))
	p.errs <- &sarama.ConsumerError{Topic: p.topic, Partition: p.partition, Err: err}
	<-ctx.Done()
}

// pump hands run after run to goka. While goka applies one run, the next is gathered.
func (p *tablePartition) pump(ctx context.Context, g *gatherer) error {
	defer g.timer.Stop()
	for {
		if err := g.take(); err != nil {
			return err
		}
		var messages chan<- *sarama.ConsumerMessage
		var msg *sarama.ConsumerMessage
		if g.due() {
			messages = p.messages
			msg = &sarama.ConsumerMessage{
				Topic: p.topic, Partition: p.partition, Offset: g.run.Last(), Timestamp: g.newest, Value: p.runs.put(g.run),
			}
		}
		select {
		case messages <- msg:
			g.begin()
			continue
		case <-g.more():
		case <-g.timer.C:
			g.late = true
		case <-ctx.Done():
		}
		if msg != nil {
			p.runs.take(msg.Value)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}

// errRestart ends the reading of a table whose store has lost its rows.
var errRestart = errors.New("the table is read again from where it is now")

// watchRestart cancels the reading when restart is closed. The function that it returns ends the watch.
func watchRestart(reading context.Context, cancel context.CancelCauseFunc, restart <-chan struct{}) (end func()) {
	if restart == nil {
		return func() {}
	}
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-restart:
			cancel(errRestart)
		case <-reading.Done():
		}
	})
	return func() {
		cancel(nil)
		watch.Wait()
	}
}

func (p *tablePartition) AsyncClose() { p.cancel() }

func (p *tablePartition) Close() error {
	p.cancel()
	for range p.messages { // sarama's contract asks to drain it
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
func (c tableReader) Close() error                               { return nil } // the caller owns the fetcher
func (c tableReader) Pause(map[string][]int32)                   {}
func (c tableReader) Resume(map[string][]int32)                  {}
func (c tableReader) PauseAll()                                  {}
func (c tableReader) ResumeAll()                                 {}

// rawCodec is the codec of goka's table, whose values goka never decodes.
type rawCodec struct{}

func (rawCodec) Encode(v any) ([]byte, error) {
	data, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("encode %T: want bytes", v)
	}
	return data, nil
}

func (rawCodec) Decode(data []byte) (any, error) { return data, nil }
