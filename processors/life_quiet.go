package processors

import (
	"context"
	"log/slog"
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
	at := l.inputs.external(l.plan)
	if at == nil {
		*q = quiet{}
		return 0, nil // a record waits
	}
	if q.since.IsZero() || !slices.Equal(at, q.at) {
		*q = quiet{since: now, at: at}
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
	look, looked := context.WithTimeout(ctx, idleLookTimeout)
	defer looked()
	proven, err := l.inputs.atEnd(l.endOf(look), func(in *input) bool { return !l.plan.inputs[in.index].Repartition })
	if err != nil {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		l.logger.Debug("the ends of the inputs cannot be read; the task is not idle", slog.Any("error", err))
	}
	if !proven {
		return idleAgain, nil
	}
	q.told = true
	l.current = nil
	if err := l.classify(l.operators.Tell(engine.Origin{}, engine.IdleTime)); err != nil {
		return 0, err
	}
	if l.marksChanged() || l.inputs.moved(l.plan) || l.operators.Changed() {
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

// external returns the positions of the external inputs, nil if one has a record to process. The positions are never
// nil otherwise.
func (s *inputs) external(plan *groupPlan) []int64 {
	at := make([]int64, 0, len(s.all))
	for _, in := range s.all {
		if plan.inputs[in.index].Repartition {
			continue
		}
		if in.head() != nil {
			return nil
		}
		at = append(at, in.next)
	}
	return at
}

// moved says whether the position of an external input is beyond the committed one, although no record is open: markers
// of transactions have come. The offset must be committed, so that others see that nothing is left to read.
func (s *inputs) moved(plan *groupPlan) bool {
	return slices.ContainsFunc(s.all, func(in *input) bool { return !plan.inputs[in.index].Repartition && in.next != in.from })
}
