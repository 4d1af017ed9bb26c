package broker

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/lovoo/goka"
	"github.com/lovoo/goka/storage"
)

// GroupTaskConfig describes one task as goka sees it: one partition of a processor group.
type GroupTaskConfig struct {
	Client *Client
	// Restores reads the group's table while goka recovers it.
	Restores  *Fetcher
	Group     string
	Inputs    []string
	Partition int32
	Table     TableStore
	// Process processes one unit of work, on goka's partition goroutine. Deliver waits for it, so that one goroutine at
	// a time uses the task (I5).
	Process func(unit any) error
	// Run opens sessions and delivers work until ctx ends or there is nothing more to do.
	Run    func(ctx context.Context, sessions *Sessions) error
	Logger *slog.Logger
}

// GroupTask is goka's processor for one partition of a group. goka has one processor for all partitions of an instance
// and stops all of them at each rebalance. With a processor for each task, a task that stays is not disturbed when
// others move, fail or restore (docs/decisions/0003-one-goka-processor-per-task.md).
type GroupTask struct {
	cfg       GroupTaskConfig
	processor *goka.Processor
	units     handles[*unit]
	restores  handles[*Run]
	cancel    context.CancelFunc
	errs      chan error // goka reads it; nothing is ever sent, since errors end a session, and Run owns the session
}

// unit is one unit of work on its way through goka.
type unit struct {
	work     any
	sessions *Sessions
	err      error
	done     chan struct{}
}

// NewGroupTask builds goka's processor for the task. All topics must exist.
func NewGroupTask(cfg GroupTaskConfig) (*GroupTask, error) {
	t := &GroupTask{cfg: cfg, errs: make(chan error)}
	edges := []goka.Edge{goka.Persist(rawCodec{})}
	for _, topic := range cfg.Inputs {
		edges = append(edges, goka.Input(goka.Stream(topic), unitCodec{&t.units}, t.process))
	}
	processor, err := goka.NewProcessor(nil, goka.DefineGroup(goka.Group(cfg.Group), edges...),
		goka.WithLogger(gokaLog{cfg.Logger}),
		goka.WithHasher(javaHash),
		goka.WithTopicManagerBuilder(func([]string) (goka.TopicManager, error) {
			return gokaTopics{client: cfg.Client, table: string(goka.GroupTable(goka.Group(cfg.Group)))}, nil
		}),
		goka.WithConsumerGroupBuilder(func([]string, string, string) (sarama.ConsumerGroup, error) { return t, nil }),
		goka.WithConsumerSaramaBuilder(func([]string, string) (sarama.Consumer, error) {
			return tableReader{client: cfg.Client, fetcher: cfg.Restores, runs: &t.restores, logger: cfg.Logger}, nil
		}),
		goka.WithProducerBuilder(func([]string, string, func() hash.Hash32) (goka.Producer, error) { return gokaProducer{}, nil }),
		goka.WithStorageBuilder(func(string, int32) (storage.Storage, error) {
			return gokaTable{cfg.Table, &t.restores, cfg.Logger}, nil
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("group %s, partition %d: %w", cfg.Group, cfg.Partition, err)
	}
	t.processor = processor
	return t, nil
}

// Run runs goka's processor until the task's Run function returns or ctx ends. It may be called once.
func (t *GroupTask) Run(ctx context.Context) error {
	ctx, t.cancel = context.WithCancel(ctx)
	defer t.cancel()
	if err := t.processor.Run(ctx); err != nil {
		return fmt.Errorf("group %s, partition %d: %w", t.cfg.Group, t.cfg.Partition, err)
	}
	return nil
}

// Stats returns goka's own statistics of the task's processor.
func (t *GroupTask) Stats(ctx context.Context) *goka.ProcessorStats {
	return t.processor.StatsWithContext(ctx)
}

// process is goka's callback.
func (t *GroupTask) process(ctx goka.Context, msg any) {
	u, ok := msg.(*unit)
	if !ok {
		ctx.Fail(fmt.Errorf("goka delivered %T", msg))
	}
	// goka counts the message as processed when the transaction with its effects is committed.
	u.sessions.uncommitted = append(u.sessions.uncommitted, ctx.DeferCommit())
	u.err = t.cfg.Process(u.work)
	close(u.done)
}

type unitCodec struct{ units *handles[*unit] }

func (unitCodec) Encode(any) ([]byte, error) { return nil, errNoEmit }

func (c unitCodec) Decode(data []byte) (any, error) {
	u, ok := c.units.take(data)
	if !ok {
		return nil, errors.New("unit was withdrawn: its session is over")
	}
	return u, nil
}

// Consume is called by goka once. The loop over sessions is in Run, so goka's pause of five seconds between two calls
// of Consume never occurs, and a new session takes milliseconds.
func (t *GroupTask) Consume(ctx context.Context, _ []string, handler sarama.ConsumerGroupHandler) error {
	defer t.cancel()
	sessions := &Sessions{task: t, handler: handler}
	err := t.cfg.Run(ctx, sessions)
	if stopErr := sessions.Stop(); stopErr != nil {
		t.cfg.Logger.Debug("session ended", slog.Any("error", stopErr))
	}
	return err
}

// The rest of sarama.ConsumerGroup.

// Errors returns a channel on which nothing is sent.
func (t *GroupTask) Errors() <-chan error { return t.errs }

// Close does nothing: the runtime owns the fetcher and the writer.
func (t *GroupTask) Close() error { return nil }

// Pause is not used by goka.
func (t *GroupTask) Pause(map[string][]int32) {}

// Resume is not used by goka.
func (t *GroupTask) Resume(map[string][]int32) {}

// PauseAll is not used by goka.
func (t *GroupTask) PauseAll() {}

// ResumeAll is not used by goka.
func (t *GroupTask) ResumeAll() {}

// Sessions opens one goka session after the other for a task: Start, any number of Deliver and Acknowledge, Stop, and
// again. One goroutine.
type Sessions struct {
	task        *GroupTask
	handler     sarama.ConsumerGroupHandler
	generation  int32
	current     *session
	uncommitted []func(error) // goka's commit callbacks of the units delivered since the last Acknowledge
}

// Start opens a session: goka opens the table, recovers it to the current high watermark and is then ready for work. It
// must be called after the takeover (I1). ctx bounds the whole session.
func (s *Sessions) Start(ctx context.Context) error {
	s.generation++
	ctx, cancel := context.WithCancel(ctx)
	cur := &session{
		ctx: ctx, cancel: cancel, generation: s.generation,
		claims:   make(map[string][]int32),
		messages: make(map[string]chan *sarama.ConsumerMessage),
	}
	for _, topic := range s.task.cfg.Inputs {
		cur.claims[topic] = []int32{s.task.cfg.Partition}
		cur.messages[topic] = make(chan *sarama.ConsumerMessage)
	}
	s.current = cur
	if err := s.handler.Setup(cur); err != nil {
		return errors.Join(fmt.Errorf("session of group %s, partition %d: %w", s.task.cfg.Group, s.task.cfg.Partition, err), s.Stop())
	}
	// goka ends a recovery without an error when its context ends.
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), s.Stop())
	}
	for topic, messages := range cur.messages {
		cur.running.Go(func() {
			// If a claim returns before its session was ended, goka's partition processor has failed, and the session
			// is over.
			defer cancel()
			if err := s.handler.ConsumeClaim(cur, &claim{topic: topic, partition: s.task.cfg.Partition, messages: messages}); err != nil {
				s.task.cfg.Logger.Debug("claim ended", slog.String("topic", topic), slog.Any("error", err))
			}
		})
	}
	return nil
}

// Deliver hands work to goka as one message of the input topic, waits until Process has processed it and returns the
// error of Process. offset and at appear in goka's statistics.
func (s *Sessions) Deliver(topic string, offset int64, at time.Time, work any) error {
	cur := s.current
	u := &unit{work: work, sessions: s, done: make(chan struct{})}
	id := s.task.units.put(u)
	msg := &sarama.ConsumerMessage{Topic: topic, Partition: s.task.cfg.Partition, Offset: offset, Timestamp: at, Value: id}
	select {
	case cur.messages[topic] <- msg:
	case <-cur.ctx.Done():
		s.task.units.take(id)
		return errSessionOver
	}
	select {
	case <-u.done:
		return u.err
	case <-cur.ctx.Done():
		if _, withdrawn := s.task.units.take(id); withdrawn {
			return errSessionOver
		}
		<-u.done // goka is processing it: until it is done, goka's goroutine has the task (I5)
		return u.err
	}
}

var errSessionOver = errors.New("session is over")

// Acknowledge tells goka that all delivered work is committed.
func (s *Sessions) Acknowledge() { s.finishUnits(nil) }

// finishUnits calls goka's commit callbacks of the delivered units.
func (s *Sessions) finishUnits(err error) {
	for _, done := range s.uncommitted {
		done(err)
	}
	s.uncommitted = s.uncommitted[:0]
}

// Stop ends the session, if there is one, and waits until goka has ended it. The error is goka's and only for the log.
func (s *Sessions) Stop() error {
	cur := s.current
	if cur == nil {
		return nil
	}
	s.current = nil
	cur.cancel()
	cur.running.Wait()
	s.finishUnits(errSessionOver) // otherwise goka waits a minute for them
	return s.cleanup(cur)
}

// cleanup recovers from a nil dereference in goka: Cleanup panics after a Setup that failed before it had started the
// partition.
func (s *Sessions) cleanup(cur *session) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("end of session: goka: %v", r)
		}
	}()
	return s.handler.Cleanup(cur)
}

// session is a session as goka sees it. The fenced Writer commits offsets, so goka's marks are ignored.
type session struct {
	ctx        context.Context //nolint:containedctx // sarama's interface asks for it
	cancel     context.CancelFunc
	generation int32
	claims     map[string][]int32
	messages   map[string]chan *sarama.ConsumerMessage
	running    sync.WaitGroup
}

func (s *session) Claims() map[string][]int32                  { return s.claims }
func (s *session) MemberID() string                            { return "" }
func (s *session) GenerationID() int32                         { return s.generation }
func (s *session) MarkOffset(string, int32, int64, string)     {}
func (s *session) Commit()                                     {}
func (s *session) ResetOffset(string, int32, int64, string)    {}
func (s *session) MarkMessage(*sarama.ConsumerMessage, string) {}
func (s *session) Context() context.Context                    { return s.ctx }

type claim struct {
	topic     string
	partition int32
	messages  chan *sarama.ConsumerMessage
}

func (c *claim) Topic() string                            { return c.topic }
func (c *claim) Partition() int32                         { return c.partition }
func (c *claim) InitialOffset() int64                     { return 0 }
func (c *claim) HighWaterMarkOffset() int64               { return 0 }
func (c *claim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }
