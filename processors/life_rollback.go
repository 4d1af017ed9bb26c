package processors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/internal/invariants"
)

// singleUnitCommits is the number of commits after a failure in which a task commits each unit by itself. A record that
// fails then costs no more than the work of one unit, and the records to be processed again are still in memory.
const singleUnitCommits = 64

// handleFault handles an error of the work under way. If the error is attributed to a record that is to be tried again
// or skipped, the life returns in place to the last commit and goes on. Any other error ends the life.
//
// This is safe because nothing is guessed: see rollBackOutputs.
func (l *life) handleFault(ctx context.Context, err error) error {
	f, ok := errors.AsType[*recordFault](err)
	if !ok || f.verdict == giveUp {
		return err
	}
	if rollbackErr := l.rollBack(ctx, err); rollbackErr != nil {
		return fmt.Errorf("roll back after a failure (%w): %w", rollbackErr, &attributedError{f})
	}
	if f.verdict == skipRecord {
		return nil
	}
	l.task.recordFailure(err, false)
	if !l.task.waitToRetry(ctx, l.faults.records[f.id].backoff.next()) {
		return err // the task is ending
	}
	l.task.enter(taskRunning)
	return nil
}

// attributedError names a fault whose verdict is already applied, so that it is not classified again: it does not
// unwrap to the recordFault.
type attributedError struct{ fault *recordFault }

func (e *attributedError) Error() string { return e.fault.Error() }

// rollBack returns to the last commit, because of a failure.
func (l *life) rollBack(ctx context.Context, cause error) error {
	if invariants.Enabled {
		l.guard.Enter("I5", "a task")
		defer l.guard.Exit()
	}
	if l.open {
		if err := l.rollBackOutputs(ctx); err != nil {
			return err
		}
		l.stats.recordRollback(l, nil)
		endSpan(&l.spans.transaction, cause)
		l.open = false
	}
	l.operators.Rollback()
	for _, r := range l.faults.records {
		r.reached = false
	}
	position, err := l.restoredPosition(nil, l.writer.MayDiffer)
	if err != nil {
		return err
	}
	l.progress = newProgress(l.plan, l.partition, position)
	l.quiet = quiet{}
	l.waits.checked, l.waits.busy, l.waits.overdue = time.Time{}, time.Time{}, nil
	switch {
	case l.units == 0: // no record was processed: the wall clock made an operator act
	case l.units == 1 && len(l.unit.records) > 0:
		l.inputs.putBack(l.unit.records)
	default:
		l.inputs.restart(func(in *input) feed { return l.openFeed(in.topic, in.from) })
	}
	l.unit.records = l.unit.records[:0]
	l.units, l.uncommitted = 0, commitSize{}
	l.singleUnits = singleUnitCommits
	return nil
}

// rollBackOutputs rolls back what was sent since the last commit. If nothing was sent, the broker need not know.
// Otherwise it does what a takeover does, without the restore. It fences every holder of the transactional id, itself
// included, which aborts the open transaction. Then it reads the committed offsets and their metadata, in which every
// commit writes its name. If offsets and name belong to this task's last commit, whose outcome the task knows, nobody
// has committed since, and the local state is the state that a restore would bring.
func (l *life) rollBackOutputs(ctx context.Context) error {
	if done, err := l.writer.Discard(ctx); done || err != nil {
		return err
	}
	l.writer.Close()
	commits := l.writer.LastCommits()
	writer, err := l.takeOver(ctx)
	if err != nil {
		return err
	}
	l.writer, l.rowAcked = writer, writer.Promise(l.recordAck)
	fault.Point("rollback.fenced")
	offsets, err := writer.Committed(ctx, l.plan.topicsOf(l.partition), l.partition)
	if err != nil {
		return err
	}
	if !maps.Equal(offsets, l.groupOffsets) || !maps.Equal(writer.LastCommits(), commits) {
		return fmt.Errorf("the committed offsets are %v, of commits %v, and were %v, of commits %v: %w",
			offsets, writer.LastCommits(), l.groupOffsets, commits, broker.ErrFenced)
	}
	return nil
}
