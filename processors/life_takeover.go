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

// run is one life, in the order that is the proof of I1: fence, offsets, watermark and restore, work. It returns why
// the life ended; a nil error only when the task is stopping.
func (l *life) run(ctx context.Context, sessions *broker.Sessions) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	atWork := l.cancelWhenStopped(cancel)
	defer atWork()

	if err := l.inst.admission.wait(ctx); err != nil {
		return err
	}
	l.task.enter(taskTakingOver)
	if err := l.openState(); err != nil {
		return err
	}
	writer, err := l.takeOver(ctx)
	if err != nil {
		return err
	}
	defer writer.Close()
	l.writer = writer
	fault.Point("takeover.fenced")
	now, err := l.currentIdentity(ctx)
	if err != nil {
		return err
	}
	if _, _, err := l.checkIdentity(now); err != nil { // before the restore adds anything to the local state
		return err
	}
	offsets, err := writer.Committed(ctx, l.plan.topicsOf(l.partition), l.partition)
	if err != nil {
		return err
	}

	fault.Point("takeover.offsets")
	l.task.enter(taskRestoring)
	end, err := l.inst.client.EndOffset(ctx, l.plan.sub.TableTopic(), l.partition)
	if err != nil {
		return err
	}
	l.table.begin(end)
	if err := sessions.Start(ctx); err != nil {
		return errors.Join(l.table.failure, err)
	}
	l.table.finish()
	fault.Point("takeover.restored")

	if err := l.begin(ctx, offsets, now); err != nil {
		return l.recheckInconsistency(ctx, offsets, err)
	}
	defer l.close()
	atWork()
	if err = l.buildIndexes(ctx, sessions); err == nil && !l.operators.Preparing() {
		l.task.enter(taskRunning)
		err = l.work(ctx, sessions)
	}
	l.stats.recordEnd(l, err)
	if err != nil {
		l.spans.endFailed(err)
	}
	return err
}

// openState opens the task's local state. It is open already unless this is the task's first life.
func (l *life) openState() error {
	part, err := l.group.engine.Open(l.partition)
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	l.table.part = part
	return nil
}

// takeOver fences every earlier owner of the partition.
func (l *life) takeOver(ctx context.Context) (*broker.Writer, error) {
	group := l.plan.sub.Group()
	writer, err := broker.TakeOver(ctx, l.inst.client, broker.WriterConfig{
		TransactionalID: l.inst.client.TransactionalID(group, l.partition),
		Group:           group,
		Timeout:         l.inst.cfg.TransactionTimeout,
		Limits:          l.group.topicLimits(ctx),
		Membership:      l.group.membership(),
		Lease:           l.inst.cfg.SessionTimeout,
		BufferBytes:     l.inst.memory.produce,
	})
	if err == nil {
		context.AfterFunc(ctx, writer.Interrupt) // the life is over: the writer must not delay its end
	}
	return writer, err
}

// cancelWhenStopped calls cancel if the task is stopped before it is at work: a takeover or a restore has nothing to
// commit, and the next owner of the partition need not wait for its end. The function it returns ends the watch.
func (l *life) cancelWhenStopped(cancel context.CancelFunc) (atWork func()) {
	working := make(chan struct{})
	go func() {
		select {
		case <-l.task.stopping:
			cancel()
		case <-working:
		}
	}()
	return sync.OnceFunc(func() { close(working) })
}

// recheckInconsistency reads the offsets again if state and offsets contradict each other. An instance that stood still
// between reading the two may have been overtaken: then the state it restored is a later owner's, and so are the
// offsets by now.
func (l *life) recheckInconsistency(ctx context.Context, offsets map[string]int64, err error) error {
	if _, ok := errors.AsType[*inconsistentError](err); !ok {
		return err
	}
	now, readErr := l.writer.Committed(ctx, l.plan.topicsOf(l.partition), l.partition)
	if readErr != nil {
		return readErr
	}
	if !maps.Equal(now, offsets) {
		return fmt.Errorf("take over partition %d: %w", l.partition, broker.ErrFenced)
	}
	return err
}
