package processors

import (
	"context"
	"slices"
	"time"

	"github.com/seed84377926/millrace/topology/engine"
)

// quiet is how long nothing has come in the external inputs of a task. After the idle timeout the task tells the tasks
// downstream that it has nothing to read, so that they do not wait for its time.
type quiet struct {
	since time.Time // zero: something has come since it was looked at
	at    []int64   // positions of the external inputs
	told  bool
}

// declareIdle looks whether the external inputs have been at their ends for the idle timeout. If so, the operators hear
// of it, and a commit tells the tasks downstream. It returns when to look again, 0 for after the next record. A task
// without external inputs has nothing to wait for, but speaks once in its life.
func (l *life) declareIdle(ctx context.Context) (again time.Duration, err error) {
	timeout := l.inst.cfg.IdleTimeout
	if timeout < 0 || len(l.plan.marks) == 0 && !l.upstream {
		return 0, nil
	}
	q := &l.quiet
	now := l.inputs.now()
	if !q.lasts(l.inputs.all, now) {
		return 0, nil // a record waits
	}
	if q.told {
		return 0, nil
	}
	if left := timeout - now.Sub(q.since); left > 0 {
		return left, nil
	}
	if _, goesOn := l.operators.IdleDue(); goesOn {
		return idleAgain, nil // the operators will send more in this pause
	}
	proven, err := l.atEnd(ctx, (*input).isExternal)
	if err != nil && ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if !proven {
		return idleAgain, nil
	}
	q.told = true
	l.current = nil
	if err := l.classify(l.operators.Tell(engine.Origin{}, engine.IdleTime)); err != nil {
		return 0, err
	}
	if l.marksChanged() || l.inputs.moved() || l.operators.Changed() {
		return 0, l.openTransaction()
	}
	return 0, nil
}

// marksChanged says whether the task has something to tell downstream that it has not told in this life.
func (l *life) marksChanged() bool {
	return slices.ContainsFunc(l.plan.marks, func(topic string) bool {
		_, changed := l.progress.changedMark(topic, l.timeFor(topic))
		return changed
	})
}

// lasts notes the positions of the external inputs and reports whether none of them has a record to process. The quiet
// begins anew if a position has changed.
func (q *quiet) lasts(all []*input, now time.Time) bool {
	n := 0
	for _, in := range all {
		switch {
		case !in.isExternal():
			continue
		case in.head() != nil:
			*q = quiet{at: q.at[:0]}
			return false
		case n == len(q.at):
			q.at = append(q.at, in.next)
			q.since = time.Time{}
		case q.at[n] != in.next:
			q.at[n] = in.next
			q.since = time.Time{}
		}
		n++
	}
	if q.since.IsZero() {
		q.since, q.told = now, false
	}
	return true
}

// moved says whether the position of an external input is beyond the committed one, although no record is open: markers
// of transactions have come. The offset must be committed, so that others see that nothing is left to read.
func (s *inputs) moved() bool {
	return slices.ContainsFunc(s.all, func(in *input) bool { return in.isExternal() && in.next != in.from })
}
