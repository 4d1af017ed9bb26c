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
	// Process runs one unit of work, on goka's partition goroutine. Deliver waits for it, so that the task is
	// touched by one goroutine at a time.
	Process func(unit any) error
	// Run is the task's life: it opens sessions and delivers work until ctx ends or it has nothing more to do.
	Run    func(ctx context.Context, sessions *Sessions) error
	Logger *slog.Logger
}

// GroupTask is goka's processor for one partition of a group. goka plans one processor for all partitions of an
// instance and stops them all at each rebalance; with one for each task a task that stays is not touched when others
// move, fail or restore (docs/decisions/0003-one-goka-processor-per-task.md).
type GroupTask struct {
	cfg       GroupTaskConfig
	processor *goka.Processor
	units     handles[*unit]
	restores  handles[*Run]
	cancel    context.CancelFunc
	errs      chan error // goka reads it; nothing is ever sent: errors end a session, and the session belongs to Run
}

// unit is one delivery on its way through goka.
type unit struct {
	work     any
	sessions *Sessions
	err      error
	done     chan struct{}
}

// NewGroupTask defines the group and builds goka's processor for it. All topics must exist.
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

// Stats returns goka's own account of the task's processor.
func (t *GroupTask) Stats(ctx context.Context) *goka.ProcessorStats {
	return t.processor.StatsWithContext(ctx)
}

// process is goka's callback.
func (t *GroupTask) process(ctx goka.Context, msg any) {
	u, ok := msg.(*unit)
	if !ok {
		ctx.Fail(fmt.Errorf("goka delivered %T", msg))
	}
	// goka counts the message as processed once the transaction that holds its effects is committed.
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

// Consume is called by goka once; the loop over sessions lives in Run, so that a new session costs milliseconds and
// goka's own pause of five seconds between two calls of Consume never comes into play.
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

// Close has nothing to close: the fetcher and the writer belong to the runtime.
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

// Start opens a session: goka opens the table, recovers it to the high watermark of this moment and is then ready for
// work. It must be called after the takeover. ctx bounds the whole session.
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
	// A recovery cut short by its context ends without an error in goka.
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), s.Stop())
	}
	for topic, messages := range cur.messages {
		cur.running.Go(func() {
			// A claim that returns unasked means that goka's partition processor has failed: the session is over.
			defer cancel()
			if err := s.handler.ConsumeClaim(cur, &claim{topic: topic, partition: s.task.cfg.Partition, messages: messages}); err != nil {
				s.task.cfg.Logger.Debug("claim ended", slog.String("topic", topic), slog.Any("error", err))
			}
		})
	}
	return nil
}

// Deliver hands work to goka as one message of the input topic, waits until Process has run it and returns its error.
// offset and at are what goka's statistics show.
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
		<-u.done // goka has it and is running it: the task is not ours before it is done
		return u.err
	}
}

var errSessionOver = errors.New("session is over")

// Acknowledge tells goka that all delivered work is committed.
func (s *Sessions) Acknowledge() { s.settle(nil) }

func (s *Sessions) settle(err error) {
	for _, done := range s.uncommitted {
		done(err)
	}
	s.uncommitted = s.uncommitted[:0]
}

// Stop ends the session, if there is one, and waits for goka to be done with it. Its error is what goka made of the
// end and of value for the log only.
func (s *Sessions) Stop() error {
	cur := s.current
	if cur == nil {
		return nil
	}
	s.current = nil
	cur.cancel()
	cur.running.Wait()
	s.settle(errSessionOver) // goka waits a minute for commits that nobody answers
	return s.cleanup(cur)
}

// cleanup shields the process from a nil pointer in goka: Cleanup after a Setup that failed before it had started the
// partition.
func (s *Sessions) cleanup(cur *session) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("end of session: goka: %v", r)
		}
	}()
	return s.handler.Cleanup(cur)
}

// session is what goka sees of a session. Offsets are committed by the fenced writer, so that goka's marks are ignored.
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
