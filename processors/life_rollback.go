package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
)

// carefulCommits is for how many commits after a failure a task commits each unit by itself. A record that fails then
// costs no more than the work of one unit, and what is read again is still in memory.
const carefulCommits = 64

// overcome deals with an error of the work under way. If a record is to blame, and is to be tried again or skipped, the
// task returns in place to the last commit and goes on; any other error ends the life.
//
// It is safe because nothing is guessed: see takeBack.
func (t *task) overcome(ctx context.Context, err error) error {
	f, ok := errors.AsType[*recordFault](err)
	if !ok || f.verdict == giveUp {
		return err
	}
	if rollbackErr := t.rollback(ctx, err); rollbackErr != nil {
		return fmt.Errorf("roll back after a failure (%w): %w", rollbackErr, &rolledBack{f})
	}
	if f.verdict == skipRecord {
		return nil
	}
	t.failed(err, false)
	if !t.wait(ctx, t.trouble.records[f.id].backoff.next()) {
		return err // the task is ending
	}
	t.enter(taskRunning)
	return nil
}

// rolledBack names a failure whose verdict was carried out already; it is not to be judged again.
type rolledBack struct{ fault *recordFault }

func (r *rolledBack) Error() string { return r.fault.Error() }

// rollback returns to the last commit, because of a failure.
func (t *task) rollback(ctx context.Context, cause error) error {
	l := t.life
	if l.open {
		if err := t.takeBack(ctx); err != nil {
			return err
		}
		t.stats.rolledBack(l, nil)
		endSpan(&t.spans.transaction, cause)
		l.open = false
	}
	l.task.Rollback()
	for _, r := range t.trouble.records {
		r.reached = false
	}
	position, err := t.restoredPosition(nil, l.writer.MayDiffer)
	if err != nil {
		return err
	}
	l.progress = newProgress(t.plan, t.partition, position)
	switch {
	case l.units == 0: // the wall clock made it do something, and no record
	case l.units == 1 && len(l.unit.records) > 0:
		l.inputs.putBack(l.unit.records)
	default:
		l.inputs.restart(func(in *input) feed {
			return t.group.reads.Add(in.topic, t.partition, in.from, t.stats.ready)
		})
	}
	l.unit.records = l.unit.records[:0]
	l.units, l.size = 0, commitSize{}
	l.careful = carefulCommits
	return nil
}

// takeBack takes back what was sent since the last commit. If that is nothing, the broker need not know. Else it is what a
// takeover does, without the restore: fence whoever held the transactional id, itself included, which aborts the open
// transaction; then read the committed offsets. Every commit moves the offsets. So if they are those of this task's last
// commit, whose outcome it knows, nobody has committed since, and the state here is the one that a restore would bring.
func (t *task) takeBack(ctx context.Context) error {
	l := t.life
	if done, err := l.writer.Discard(ctx); done || err != nil {
		return err
	}
	l.writer.Close()
	commits := l.writer.LastCommits()
	writer, err := t.takeOver(ctx)
	if err != nil {
		return err
	}
	l.writer, l.logged = writer, writer.Promise(l.acked)
	fault.Point("rollback.fenced")
	offsets, err := writer.Committed(ctx, t.plan.topicsOf(t.partition), t.partition)
	if err != nil {
		return err
	}
	if !maps.Equal(offsets, l.offsets) || !maps.Equal(writer.LastCommits(), commits) {
		return fmt.Errorf("offsets are %v of commits %v and were %v of %v: %w",
			offsets, writer.LastCommits(), l.offsets, commits, broker.ErrFenced)
	}
	return nil
}
