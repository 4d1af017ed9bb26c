package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/topology"
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
		Group: t.group.plan.sub.Group(), Inputs: t.group.inputTopics(), Partition: t.partition,
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

// live is one life, in the order that is the proof: fence, offsets, watermark and restore, work. It returns how often it
// committed and why it ended; a nil error only when the task is stopping.
func (t *task) live(ctx context.Context, sessions *broker.Sessions) (commits int64, err error) {
	sub := t.group.plan.sub
	before := t.stats.commits.Load()
	defer func() { commits = t.stats.commits.Load() - before }()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	atWork := t.cancelIfStopped(cancel)
	defer atWork()

	t.enter(taskTakingOver)
	if err := t.openState(); err != nil {
		return 0, err
	}
	writer, err := t.takeOver(ctx)
	if err != nil {
		return 0, err
	}
	defer writer.Close()
	fault.Point("takeover.fenced")
	who, err := t.identity(ctx)
	if err != nil {
		return 0, err
	}
	if _, _, err := t.verify(who); err != nil { // before anything is added to what is here already
		return 0, err
	}
	offsets, err := writer.Committed(ctx, t.group.inputTopics(), t.partition)
	if err != nil {
		return 0, err
	}

	fault.Point("takeover.offsets")
	t.enter(taskRestoring)
	end, err := t.group.app.client.EndOffset(ctx, sub.TableTopic(), t.partition)
	if err != nil {
		return 0, err
	}
	t.table.begin(end)
	if err := sessions.Start(ctx); err != nil {
		return 0, errors.Join(t.table.failure, err)
	}
	t.table.finish()
	fault.Point("takeover.restored")

	l, err := t.begin(ctx, writer, offsets, who)
	if err != nil {
		return 0, t.contradicted(ctx, writer, offsets, err)
	}
	defer l.close()
	t.life = l
	atWork()
	t.enter(taskRunning)
	err = t.work(ctx, sessions)
	t.stats.lived(l, err)
	if err != nil {
		t.spans.failed(err)
	}
	return 0, err
}

// takeOver fences every earlier owner of the partition.
func (t *task) takeOver(ctx context.Context) (*broker.Writer, error) {
	group := t.group.plan.sub.Group()
	writer, err := broker.TakeOver(ctx, t.group.app.client, broker.WriterConfig{
		TransactionalID: fault.TransactionalID(fmt.Sprintf("%s.%s.%d", t.group.app.client.ClusterID(), group, t.partition)),
		Group:           group,
		Timeout:         t.group.app.cfg.TransactionTimeout,
		MaxBytes:        t.group.maxBytes(ctx),
		Membership:      t.group.membership(),
		Lease:           t.group.app.cfg.SessionTimeout,
		BufferBytes:     t.group.app.memory.produce,
	})
	if err == nil {
		context.AfterFunc(ctx, writer.Interrupt) // the life is over: nothing of the writer may hold it up
	}
	return writer, err
}

// cancelIfStopped calls cancel if the task is stopped before it is at work: a takeover or a restore has nothing to commit,
// and whoever waits for the partition need not wait for its end. The function it returns ends the watch.
func (t *task) cancelIfStopped(cancel context.CancelFunc) (atWork func()) {
	working := make(chan struct{})
	go func() {
		select {
		case <-t.stopping:
			cancel()
		case <-working:
		}
	}()
	return sync.OnceFunc(func() { close(working) })
}

// contradicted looks twice at an inconsistency between state and offsets. An instance that stood still between reading
// the two may have been overtaken: then the state it restored is that of a later owner, and so are the offsets by now.
func (t *task) contradicted(ctx context.Context, writer *broker.Writer, offsets map[string]int64, err error) error {
	if _, ok := errors.AsType[*inconsistentError](err); !ok {
		return err
	}
	now, readErr := writer.Committed(ctx, t.group.inputTopics(), t.partition)
	if readErr != nil {
		return readErr
	}
	if !maps.Equal(now, offsets) {
		return fmt.Errorf("take over partition %d: %w", t.partition, broker.ErrFenced)
	}
	return err
}

// work processes and commits until the task is stopping or something fails.
func (t *task) work(ctx context.Context, sessions *broker.Sessions) error {
	l := t.life
	for {
		if t.group.paused() {
			if err := t.rest(ctx, func() error { return t.commit(ctx, sessions) }); err != nil {
				return err
			}
		}
		l.inputs.limit = t.unitLimit()
		wait, err := l.inputs.next(ctx, &l.unit)
		if err != nil {
			return err
		}
		if len(l.unit.records) > 0 {
			if err := t.deliver(sessions); err != nil {
				if err := t.overcome(ctx, err); err != nil {
					return err
				}
				continue
			}
		}
		stopping := t.isStopping()
		if l.open && (stopping || t.commitDue()) {
			if err := t.commit(ctx, sessions); err != nil {
				return err
			}
		}
		if stopping {
			return nil
		}
		if len(l.unit.records) > 0 {
			continue
		}
		if err := t.idle(ctx, wait); err != nil {
			return err
		}
	}
}

// idle waits until there may be something to do: data, a commit that is due, an idle time that is over (wait, 0 for
// none), or the end.
func (t *task) idle(ctx context.Context, wait time.Duration) error {
	t.stats.publish(t.life)
	if t.life.open {
		left := max(time.Until(t.life.due), time.Millisecond)
		if wait == 0 || left < wait {
			wait = left
		}
	}
	var alarm <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-t.stats.ready:
	case <-alarm:
	case <-t.stopping:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// deliver hands the unit to goka, whose partition goroutine runs process.
func (t *task) deliver(sessions *broker.Sessions) error {
	l := t.life
	if !l.open {
		if err := l.writer.Begin(); err != nil {
			return err
		}
		l.open, l.outcome = true, outcomeAborted
		t.spans.transaction = t.spans.start(TraceTransaction, nil)
		l.due = time.Now().Add(t.group.app.cfg.CommitInterval)
	}
	l.units++
	fault.Point("task.unit")
	start, n := time.Now(), len(l.unit.records)
	last := l.unit.records[n-1].record
	t.stats.activity.enter(activityProcess, start)
	err := sessions.Deliver(last.Topic, last.Offset, last.Timestamp, &l.unit)
	end := time.Now()
	t.stats.activity.enter(activityWait, end)
	t.stats.publish(l)
	t.pace.took(n, end.Sub(start))
	l.size.records += int64(n)
	return err
}

// process runs a unit through the topology. It is called by goka.
func (t *task) process(work any) (err error) {
	u, ok := work.(*unit)
	if !ok {
		return fmt.Errorf("goka delivered %T", work)
	}
	l := t.life
	inputs := t.group.plan.inputs
	traced := t.spans.tracer != nil
	if traced {
		t.spans.beginUnit(len(u.records))
		defer func() { endSpan(&t.spans.unit, err) }()
	}
	now := time.Now().UnixMilli()
	var raw topology.RawRecord
	records := 0 // marks are none
	l.current = nil
	for _, r := range u.records {
		if len(t.trouble.records) > 0 && t.trouble.skips(r.record) {
			continue
		}
		var err error
		if inputs[r.input].Repartition && isMark(r.record) {
			err = l.progress.heard(r.record)
		} else {
			records++
			l.current = r.record
			t.stats.took(r.input, r.record, now)
			raw = rawRecord(r.record)
			var span Span
			if traced {
				span = t.spans.record(r.record, &raw)
			}
			err = l.task.Process(r.input, &raw)
			endSpan(&span, err)
		}
		if err == nil {
			continue
		}
		f, ok := newRecordFault(r.record, err)
		if !ok {
			return fmt.Errorf("process %s/%d offset %d: %w", r.record.Topic, r.record.Partition, r.record.Offset, err)
		}
		t.blame(f)
		if f.kind == UndecodableRecord && f.verdict == skipRecord {
			continue // nothing was done yet
		}
		return f
	}
	t.stats.records.Add(int64(records))
	return nil
}

func rawRecord(r *kgo.Record) topology.RawRecord {
	return topology.RawRecord{
		Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli(), Offset: r.Offset, Headers: rawHeaders(r.Headers),
	}
}

func rawHeaders(headers []kgo.RecordHeader) []topology.Header {
	if len(headers) == 0 {
		return nil
	}
	raw := make([]topology.Header, len(headers))
	for i, h := range headers {
		raw[i] = topology.Header{Key: h.Key, Value: h.Value}
	}
	return raw
}

func (t *task) dropped(drop topology.Drop) {
	t.stats.drop(drop.Reason)
	if hook := t.group.app.cfg.Hooks.Dropped; hook != nil {
		hook(t.group.plan.sub.Group(), drop)
	}
}

func (t *task) enter(s taskState) {
	t.observe(s)
	if taskState(t.state.Swap(int32(s))) != s {
		t.group.app.taskChanged()
	}
}

func (t *task) isStopping() bool {
	select {
	case <-t.stopping:
		return true
	default:
		return false
	}
}

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
		hook(t.group.plan.sub.Group(), t.partition, err, fatal)
	}
	if fatal {
		t.group.app.fail(fmt.Errorf("group %s, partition %d: %w", t.group.plan.sub.Group(), t.partition, err))
	}
}

// wait pauses before the next attempt and reports whether there is to be one.
func (t *task) wait(ctx context.Context, d time.Duration) bool {
	t.enter(taskWaiting)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-t.stopping:
		return false
	case <-ctx.Done():
		return false
	}
}
