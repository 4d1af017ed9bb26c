package processors

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/processors/internal/observe"
)

// maxStuckPause bounds the pause between two warnings about one task, which doubles with each.
const maxStuckPause = 15 * time.Minute

// stuckDetector warns of tasks that have something to do and make no progress.
type stuckDetector struct {
	after time.Duration // 0 or less: no warnings
	tasks map[*task]*standstill
}

// standstill describes a task since it last made progress.
type standstill struct {
	progress int64
	since    time.Time
	warn     time.Time // when to warn next
	pause    time.Duration
	seen     time.Time // when the task was last checked
}

// check looks at one task, and warns if it is stuck.
func (d *stuckDetector) check(t *task, now time.Time) {
	if d.after <= 0 {
		return
	}
	p := t.stats.snapshot(now)
	progress := t.progress(&p)
	s := d.tasks[t]
	if s == nil || s.progress != progress || !t.hasWork(&p) {
		if s != nil && s.pause > 0 && s.progress != progress {
			t.logger.Info("task makes progress again", slog.Duration("stood", now.Sub(s.since)))
		}
		d.tasks[t] = &standstill{progress: progress, since: now, warn: now.Add(d.after), seen: now}
		return
	}
	s.seen = now
	if now.Before(s.warn) {
		return
	}
	s.pause = min(max(2*s.pause, d.after), maxStuckPause)
	s.warn = now.Add(s.pause)
	state := taskState(t.state.Load())
	attrs := []any{
		slog.String("state", state.String()), slog.Duration("stands", now.Sub(s.since)), slog.String("waits_for", t.waitReason(&p, state)),
	}
	for i := range p.inputs {
		if lag, _ := p.inputs[i].lag(now); lag > 0 {
			attrs = append(attrs, slog.Group("lag", slog.Int64(p.inputs[i].topic, lag)))
		}
	}
	t.logger.Warn("task makes no progress although it has something to do", attrs...)
}

// forget drops the tasks that the check at the time now did not find any more.
func (d *stuckDetector) forget(now time.Time) {
	for t, s := range d.tasks {
		if s.seen.Before(now) {
			delete(d.tasks, t)
		}
	}
}

// progress returns a number that changes whenever the task makes progress.
func (t *task) progress(p *taskSnapshot) int64 {
	n := t.stats.records.Load() + t.stats.commits.Load() + p.restored
	for i := range p.inputs {
		n += p.inputs[i].position // markers count as well
	}
	return n
}

// hasWork says whether the task has something to do: records to process or, before it works, the takeover or the
// restore.
func (t *task) hasWork(p *taskSnapshot) bool {
	if state := taskState(t.state.Load()); state != taskRunning {
		return state != taskStopped && state != taskPaused
	}
	if p.activity == observe.ActivityProcess || p.activity == observe.ActivityCommit {
		return true
	}
	for i := range p.inputs {
		if in := &p.inputs[i]; in.position >= 0 && in.end > in.position {
			return true
		}
	}
	return false
}

// waitReason says in words what the task waits for, "" if for nothing.
func (t *task) waitReason(p *taskSnapshot, state taskState) string {
	if state == taskStarting {
		return t.inst.admission.waitReason()
	}
	return p.waitReason(state)
}

func (p *taskSnapshot) waitReason(state taskState) string {
	switch p.activity {
	case observe.ActivityTakeOver:
		return "the brokers, to end the transaction of the owner before and to tell the committed offsets"
	case observe.ActivityRestore:
		return "records of its changelog"
	case observe.ActivityProcess:
		return "an operator, or room in the producer's buffer"
	case observe.ActivityCommit:
		return "the brokers, to take the transaction"
	case observe.ActivityRetry:
		if p.lastError != nil {
			return "its next attempt after: " + p.lastError.Message
		}
		return "its next attempt"
	case observe.ActivityWait:
		if state != taskRunning {
			return ""
		}
		if p.waitsFor != "" {
			return p.waitsFor
		}
		for i := range p.inputs {
			if in := &p.inputs[i]; in.position >= 0 && in.end > in.position {
				return fmt.Sprintf("records of %s from offset %d, which the brokers have and did not deliver yet", in.topic, in.position)
			}
		}
		return ""
	default:
		return ""
	}
}
