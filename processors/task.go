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

// task runs one sub-topology on one partition. It lives one life after the other: take over, restore, work and commit
// until something fails; then everything that was not committed is dropped and the next life begins with a takeover,
// which settles whatever the last one left open. Its goroutine starts with start and ends with stop or abandon.
type task struct {
	group     *group
	plan      *groupPlan // that of the group when it began
	partition int32
	logger    *slog.Logger
	table     *restoredTable
	stats     taskStats
	spans     spans // touched by the goroutine that runs the task

	stopping chan struct{} // closed: commit and end
	stopOnce sync.Once
	cancel   context.CancelFunc // ends at once, nothing is committed
	done     chan struct{}

	state atomic.Int32
	fatal bool // it gave up; touched by the task's goroutine

	pace    pace
	life    *life // of the session under way; touched by the goroutine that runs the task
	trouble trouble
}

// start starts the task's goroutine.
func (t *task) start(ctx context.Context) {
	ctx, t.cancel = context.WithCancel(ctx)
	go func() {
		defer close(t.done)
		defer t.enter(taskStopped)
		t.run(ctx)
	}()
}

// stop lets the task commit what it has and ends it.
func (t *task) stop() {
	t.stopOnce.Do(func() { close(t.stopping) })
	<-t.done
	t.cancel()
}

// abandon ends the task at once: somebody else owns the partition already, so nothing of it could be committed.
func (t *task) abandon() {
	t.cancel()
	t.stop()
}

// run keeps a goka processor for the task running until the task is stopped. goka's processor ends early only when it
// cannot be set up, since the loop over lives is inside.
func (t *task) run(ctx context.Context) {
	var backoff retryBackoff
	for {
		err := t.runProcessor(ctx)
		if t.ending(ctx) || t.fatal {
			return
		}
		t.failed(err, false)
		if !t.wait(ctx, backoff.next()) {
			return
		}
	}
}

func (t *task) runProcessor(ctx context.Context) error {
	t.enter(taskStarting)
	processor, err := broker.NewGroupTask(broker.GroupTaskConfig{
		Client: t.group.app.client, Restores: t.group.restores,
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
			t.trouble.lasting = 0
		}
		if _, ok := errors.AsType[*searching](err); ok {
			t.logger.Warn("a commit failed; looking for the record that makes it fail",
				slog.Int("records", t.trouble.search.limit), slog.Any("error", err))
			continue
		}
		t.fatal = !t.group.dropDamaged(t.partition, err) && t.hopeless(err)
		t.failed(err, t.fatal)
		if t.fatal {
			return nil
		}
		if !t.wait(ctx, backoff.next()) {
			return nil
		}
	}
}

func (t *task) enter(s taskState) {
	t.observe(s)
	if taskState(t.state.Swap(int32(s))) != s {
		t.group.app.taskChanged()
	}
}

func (t *task) isStopping() bool { return isClosed(t.stopping) }

func (t *task) ending(ctx context.Context) bool { return t.isStopping() || ctx.Err() != nil }

// failed tells that a life ended with err.
func (t *task) failed(err error, fatal bool) {
	t.stats.failed(err, time.Now())
	t.spans.failed(err)
	if fatal {
		t.logger.Error("task failed for good", slog.Any("error", err))
	} else {
		t.logger.Warn("task failed and tries again", slog.Any("error", err))
	}
	if hook := t.group.app.cfg.Hooks.TaskFailed; hook != nil {
		hook(t.plan.sub.Group(), t.partition, err, fatal)
	}
	if fatal {
		t.group.app.fail(fmt.Errorf("group %s, partition %d: %w", t.plan.sub.Group(), t.partition, err))
	}
}

// wait pauses before the next attempt and reports whether there is to be one.
func (t *task) wait(ctx context.Context, d time.Duration) bool {
	t.enter(taskWaiting)
	return pause(ctx, d, t.stopping)
}
