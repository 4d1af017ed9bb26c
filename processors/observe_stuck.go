package processors

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	// watchInterval is how old the ends of inputs, and so lags, may be.
	watchInterval = 5 * time.Second
	// maxStuckPause bounds the pause between two warnings about one task, which doubles with each.
	maxStuckPause = 15 * time.Minute
)

// startWatch starts to watch the tasks. The function it returns ends that and waits for it.
func (a *App) startWatch(ctx context.Context) (stop func()) { return background(ctx, a.watch) }

// watch asks where the inputs end and looks for tasks that are stuck, until ctx ends.
func (a *App) watch(ctx context.Context) {
	interval := watchInterval
	if a.cfg.StuckAfter > 0 {
		interval = min(interval, max(a.cfg.StuckAfter/4, time.Millisecond))
	}
	stuck := stuckDetector{after: a.cfg.StuckAfter, tasks: make(map[*task]*suspect)}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, g := range a.groups() {
			g.askEnds(ctx, interval)
		}
		a.globals().askEnds(ctx, interval)
		now := time.Now()
		for _, g := range a.groups() {
			for _, t := range g.tasks() {
				stuck.look(t, now)
			}
		}
		stuck.forget(now)
	}
}

// askEnds tells the tasks of g how far their inputs reach, and the copies how far the changelog does. What could not be asked stays as it was known.
func (g *group) askEnds(ctx context.Context, interval time.Duration) {
	tasks, standbys := g.tasks(), g.standbys.all()
	if len(tasks) == 0 && len(standbys) == 0 {
		return
	}
	topics, table := g.plan().topics(), g.plan().sub.TableTopic()
	if len(standbys) > 0 {
		topics = append(topics, table)
	}
	ctx, cancel := context.WithTimeout(ctx, max(interval, time.Second))
	defer cancel()
	ends, err := g.app.client.Ends(ctx, topics...)
	if err != nil {
		g.logger.Debug("ends of topics are not known", slog.Any("error", err))
		return
	}
	for _, t := range tasks {
		t.stats.known(t.partition, ends)
	}
	g.stats.knownTable(table, ends)
}

// stuckDetector warns of tasks that have something to do and do not get on.
type stuckDetector struct {
	after time.Duration // 0 or less: warns of nothing
	tasks map[*task]*suspect
}

// suspect is what is known of a task since it last got on.
type suspect struct {
	progress int64
	since    time.Time
	warn     time.Time // when to warn next
	pause    time.Duration
	seen     time.Time
}

// look looks at one task.
func (d *stuckDetector) look(t *task, now time.Time) {
	if d.after <= 0 {
		return
	}
	p := t.stats.picture(now)
	progress := t.progress(&p)
	s := d.tasks[t]
	if s == nil || s.progress != progress || !t.behind(&p) {
		if s != nil && s.pause > 0 && s.progress != progress {
			t.logger.Info("task makes progress again", slog.Duration("stood", now.Sub(s.since)))
		}
		d.tasks[t] = &suspect{progress: progress, since: now, warn: now.Add(d.after), seen: now}
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
		slog.String("state", state.String()), slog.Duration("stands", now.Sub(s.since)), slog.String("waits_for", t.waits(&p, state)),
	}
	for i := range p.inputs {
		if lag, _ := p.inputs[i].lag(now); lag > 0 {
			attrs = append(attrs, slog.Group("lag", slog.Int64(p.inputs[i].topic, lag)))
		}
	}
	t.logger.Warn("task makes no progress although it has something to do", attrs...)
}

// forget drops the tasks that were not looked at.
func (d *stuckDetector) forget(now time.Time) {
	for t, s := range d.tasks {
		if s.seen.Before(now) {
			delete(d.tasks, t)
		}
	}
}

// progress is a number that changes when the task gets on.
func (t *task) progress(p *taskPicture) int64 {
	n := t.stats.records.Load() + t.stats.commits.Load() + p.restored
	for i := range p.inputs {
		n += p.inputs[i].position // markers count as well
	}
	return n
}

// behind says whether the task has something to do: records to process, or a way back to work.
func (t *task) behind(p *taskPicture) bool {
	if state := taskState(t.state.Load()); state != taskRunning {
		return state != taskStopped && state != taskPaused
	}
	if p.activity == activityProcess || p.activity == activityCommit {
		return true
	}
	for i := range p.inputs {
		if in := &p.inputs[i]; in.position >= 0 && in.end > in.position {
			return true
		}
	}
	return false
}

// waits says in words what keeps the task from going on, "" if nothing does.
func (t *task) waits(p *taskPicture, state taskState) string {
	if state == taskStarting {
		return t.group.app.admission.waits()
	}
	return p.waits(state)
}

func (p *taskPicture) waits(state taskState) string {
	switch p.activity {
	case activityTakeOver:
		return "the brokers, to end the transaction of the owner before and to tell the committed offsets"
	case activityRestore:
		return "records of its changelog"
	case activityProcess:
		return "an operator, or room in the producer's buffer"
	case activityCommit:
		return "the brokers, to take the transaction"
	case activityRetry:
		if p.lastError != nil {
			return "its next attempt after: " + p.lastError.Message
		}
		return "its next attempt"
	case activityWait:
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
