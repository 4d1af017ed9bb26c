package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
)

// live is one life, in the order that is the proof: fence, offsets, watermark and restore, work. It returns how often it
// committed and why it ended; a nil error only when the task is stopping.
func (t *task) live(ctx context.Context, sessions *broker.Sessions) (commits int64, err error) {
	sub := t.plan.sub
	before := t.stats.commits.Load()
	defer func() { commits = t.stats.commits.Load() - before }()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	atWork := t.cancelIfStopped(cancel)
	defer atWork()

	if err := t.group.app.admission.wait(ctx); err != nil {
		return 0, err
	}
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
	offsets, err := writer.Committed(ctx, t.plan.topicsOf(t.partition), t.partition)
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
	if err = t.buildIndexes(ctx, sessions); err == nil && !l.task.Building() {
		t.enter(taskRunning)
		err = t.work(ctx, sessions)
	}
	t.stats.lived(l, err)
	if err != nil {
		t.spans.failed(err)
	}
	return 0, err
}

// takeOver fences every earlier owner of the partition.
func (t *task) takeOver(ctx context.Context) (*broker.Writer, error) {
	group := t.plan.sub.Group()
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
	now, readErr := writer.Committed(ctx, t.plan.topicsOf(t.partition), t.partition)
	if readErr != nil {
		return readErr
	}
	if !maps.Equal(now, offsets) {
		return fmt.Errorf("take over partition %d: %w", t.partition, broker.ErrFenced)
	}
	return err
}
