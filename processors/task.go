package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// taskState is what a task is doing.
type taskState int32

const (
	taskStarting taskState = iota
	taskTakingOver
	taskRestoring
	taskRunning
	taskWaiting // before it tries again
	taskPaused
	taskStopped
)

var taskStateNames = [...]string{"starting", "taking over", "restoring", "running", "waiting to retry", "paused", "stopped"} //nolint:gochecknoglobals // a table

func (s taskState) String() string { return taskStateNames[s] }

// task runs one sub-topology on one partition. It has one life after the other: a life takes over, restores, works and
// commits until something fails. Then everything that is not committed is dropped, and the next life begins with a
// takeover, which settles what the last one left open.
//
// The task itself starts, stops and knows its state; what happens in a life is in the files life*.go. Its goroutine
// starts with start and ends with stop or abandon.
type task struct {
	inst      *instance
	group     *group
	plan      *groupPlan // the group's plan when the task began
	partition int32
	logger    *slog.Logger

	ready    chan struct{} // signalled: there may be something to do; by feeds, calls that end, and wake
	stopping chan struct{} // closed: commit and end
	stopOnce sync.Once
	cancel   context.CancelFunc // ends at once, nothing is committed
	done     chan struct{}

	state atomic.Int32
	stats taskStats

	// The goroutine that runs the task touches these. All but the life outlive the lives.
	fatal    bool // the task has given up
	table    *restoredTable
	spans    spans
	unitSize unitSize
	faults   faults
	life     *life
}

// start starts the task's goroutine.
func (t *task) start(ctx context.Context) {
	ctx, t.cancel = context.WithCancel(ctx)
	go func() {
		defer close(t.done)
		defer t.enter(taskStopped)
		t.run(ctx)
		t.stats.live.drops.log(t.logger, time.Now(), true)
	}()
}

// stop lets the task commit what it has and ends it.
func (t *task) stop() {
	t.stopOnce.Do(func() { close(t.stopping) })
	<-t.done
	t.cancel()
}

// abandon ends the task at once: another instance owns the partition already, so nothing of the task could be
// committed.
func (t *task) abandon() {
	t.cancel()
	t.stop()
}

// run keeps a goka processor for the task running until the task is stopped. goka's processor ends early only if it
// cannot be set up, since the loop over lives is inside it.
func (t *task) run(ctx context.Context) {
	var backoff retryBackoff
	for {
		err := t.runProcessor(ctx)
		if t.ending(ctx) || t.fatal {
			return
		}
		t.recordFailure(err, false)
		if !t.waitToRetry(ctx, backoff.next()) {
			return
		}
	}
}

func (t *task) runProcessor(ctx context.Context) error {
	t.enter(taskStarting)
	processor, err := broker.NewGroupTask(broker.GroupTaskConfig{
		Client: t.inst.client, Restores: t.group.restores,
		Group: t.plan.sub.Group(), Inputs: t.plan.topicsOf(t.partition), Partition: t.partition,
		Table: t.table, Process: t.process, Run: t.lives, Logger: t.logger,
	})
	if err != nil {
		return err
	}
	t.stats.processor.Store(processor)
	return processor.Run(ctx)
}

// lives is the loop inside goka: one life after the other.
func (t *task) lives(ctx context.Context, sessions *broker.Sessions) error {
	var backoff retryBackoff
	for {
		committed, err := t.live(ctx, sessions)
		if stopErr := sessions.Stop(); stopErr != nil {
			t.logger.Debug("session ended", slog.Any("error", stopErr))
		}
		if t.ending(ctx) {
			return nil
		}
		if committed > 0 {
			backoff.reset()
			t.faults.lasting = 0
		}
		if _, ok := errors.AsType[*bisectingError](err); ok {
			t.logger.Warn("a commit failed; looking for the record that makes it fail",
				slog.Int("records", t.faults.bisection.limit), slog.Any("error", err))
			continue
		}
		t.fatal = !t.group.dropDamaged(t.partition, err) && t.isFatal(err)
		t.recordFailure(err, t.fatal)
		if t.fatal {
			return nil
		}
		if !t.waitToRetry(ctx, backoff.next()) {
			return nil
		}
	}
}

// live runs one life. It returns how often the life committed and why it ended; the error is nil only if the task is
// stopping.
func (t *task) live(ctx context.Context, sessions *broker.Sessions) (commits int64, err error) {
	before := t.stats.commits.Load()
	t.life = newLife(t)
	err = t.life.run(ctx, sessions)
	return t.stats.commits.Load() - before, err
}

// process is called by goka with a unit of records.
func (t *task) process(work any) error {
	u, ok := work.(*unit)
	if !ok {
		return fmt.Errorf("goka delivered %T", work)
	}
	return t.life.process(u)
}

// isFatal says whether a life that ended with err is the last one: a person must do something.
func (t *task) isFatal(err error) bool {
	if f, ok := errors.AsType[*recordFault](err); ok {
		return f.verdict == giveUp
	}
	refusal, refused := errors.AsType[*broker.ProduceError](err)
	if errors.Is(err, broker.ErrTopicMissing) || refused && refusal.Lasting() && !refusal.OfTopic() {
		t.inst.lookForTopics() // the missing topic may be one that matches a source, which may come and go
		t.faults.lasting++
		return t.faults.lasting > t.inst.cfg.ProcessingRetries
	}
	var inconsistent *inconsistentError
	return errors.As(err, &inconsistent) || errors.Is(err, broker.ErrOffsetLost) || errors.Is(err, broker.ErrTimeoutRefused) ||
		errors.Is(err, errNoCommittedOffset) ||
		errors.Is(err, pebblestore.ErrForeign)
}

// enter moves the task to a state.
func (t *task) enter(s taskState) {
	t.recordState(s)
	if taskState(t.state.Swap(int32(s))) != s {
		t.inst.taskChanged()
	}
}

func (t *task) isStopping() bool { return isClosed(t.stopping) }

func (t *task) ending(ctx context.Context) bool { return t.isStopping() || ctx.Err() != nil }

// recordFailure counts and reports that a life, or an attempt within it, ended with err. A fatal failure ends the App.
func (t *task) recordFailure(err error, fatal bool) {
	t.stats.recordFailure(err, time.Now())
	t.spans.endFailed(err)
	if fatal {
		t.logger.Error("task failed for good", slog.Any("error", err))
	} else {
		t.logger.Warn("task failed and tries again", slog.Any("error", err))
	}
	if hook := t.inst.cfg.Hooks.TaskFailed; hook != nil {
		hook(t.plan.sub.Group(), t.partition, err, fatal)
	}
	if fatal {
		t.inst.fail(fmt.Errorf("group %s, partition %d: %w", t.plan.sub.Group(), t.partition, err))
	}
}

// waitToRetry waits before the next attempt. It returns false if the task is to end instead.
func (t *task) waitToRetry(ctx context.Context, d time.Duration) bool {
	t.enter(taskWaiting)
	return sleep(ctx, d, t.stopping)
}

// wake makes an idle task look for something to do.
func (t *task) wake() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}
