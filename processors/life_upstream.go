package processors

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

// A task looks again at upstream tasks that hold its time back, or that have nothing to read, so often while it works,
// and before it goes on after such a pause.
const (
	upstreamCheck = time.Second
	upstreamPause = 200 * time.Millisecond
)

// waits is what a task knows of the upstream tasks that it waits for.
type waits struct {
	began    time.Time                  // when the life began
	spoke    map[state.Sender]time.Time // when each upstream task told its time last, in this life
	overdue  map[state.Sender]bool      // is waited for no longer, see Config.MaxUpstreamWait
	checked  time.Time                  // when the idle ones were last compared with what they have to read
	busy     time.Time                  // when a record was last processed
	looked   time.Time                  // when it was last looked at waits that last
	reported time.Time
}

// heard notes that an upstream task has told its time.
func (w *waits) heard(sender state.Sender) {
	if w.spoke == nil {
		w.spoke = make(map[state.Sender]time.Time)
	}
	w.spoke[sender] = time.Now()
	delete(w.overdue, sender)
}

// silence returns for how long an upstream task has told nothing.
func (w *waits) silence(sender state.Sender, now time.Time) time.Duration {
	if at, ok := w.spoke[sender]; ok {
		return now.Sub(at)
	}
	return now.Sub(w.began)
}

// An upstream task that has nothing to read says so once, and then it is silent. Its mark names the source offsets that
// it reflects, so whether it is still true can be seen in Kafka: if a source has more, the time of the upstream task
// counts again until it speaks. So a task looks before it goes on after a pause, and when it has begun with what was
// committed: otherwise the first upstream task at work would make the records of the others late.

// doubtIdle takes back that upstream tasks are idle whose sources have more. It is called with a unit in hand: no clock
// advances by it.
func (l *life) doubtIdle(ctx context.Context) error {
	if !l.upstream || !l.unit.hasRecords(l.plan) {
		return nil
	}
	now := time.Now()
	paused := now.Sub(l.waits.busy) >= upstreamPause
	l.waits.busy = now
	if !paused && now.Sub(l.waits.checked) < upstreamCheck {
		return nil
	}
	return l.compareIdle(ctx, func(sender state.Sender, idle, more bool) error {
		if !idle || !more {
			return nil
		}
		l.logger.Debug("an idle upstream task has something to read: its time counts", slog.String("topic", sender.Topic),
			slog.Int("upstream_partition", int(sender.Partition)))
		return l.operators.Tell(engine.Origin(sender), engine.UnknownTime)
	})
}

// trustIdle believes upstream tasks that are idle as far as their marks say and have nothing to read. It returns when
// to ask again, 0 for never.
func (l *life) trustIdle(ctx context.Context) (again time.Duration, err error) {
	if !l.upstream {
		return 0, nil
	}
	if err := l.endWaits(); err != nil {
		return 0, err
	}
	doubted := l.doubted()
	if !doubted {
		return l.nextWait(), nil
	}
	if since := time.Since(l.waits.checked); since < upstreamCheck {
		return upstreamCheck - since, nil
	}
	err = l.compareIdle(ctx, func(sender state.Sender, idle, more bool) error {
		if idle || more {
			return nil
		}
		return l.classify(l.operators.Tell(engine.Origin(sender), engine.IdleTime))
	})
	if err != nil || !l.doubted() {
		return l.nextWait(), err
	}
	return upstreamCheck, nil
}

// doubted says whether the time of an upstream task counts although it said that it is idle.
func (l *life) doubted() bool {
	l.progress.origins = l.operators.Progress(l.progress.origins[:0])
	for _, o := range l.progress.origins {
		if m, ok := l.progress.position.Senders[state.Sender(o.Origin)]; ok && m.Time == state.IdleTime && o.Told != engine.IdleTime {
			return true
		}
	}
	return false
}

// compareIdle calls f for each upstream task whose last mark says that it is idle: whether it is taken for idle now,
// and whether its sources have more than the mark reflects.
func (l *life) compareIdle(ctx context.Context, f func(sender state.Sender, idle, more bool) error) error {
	var claims []engine.Progress
	l.progress.origins = l.operators.Progress(l.progress.origins[:0])
	for _, o := range l.progress.origins {
		if m, ok := l.progress.position.Senders[state.Sender(o.Origin)]; ok && m.Time == state.IdleTime {
			claims = append(claims, o)
		}
	}
	if len(claims) == 0 {
		return nil
	}
	l.waits.checked = time.Now()
	ends, err := l.group.sources.read(ctx, l.plan)
	if err != nil {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		l.logger.Warn("cannot find out whether idle upstream tasks have something to read; their time stays as it is", slog.Any("error", err))
		return nil
	}
	for _, o := range claims {
		sender := state.Sender(o.Origin)
		if err := f(sender, o.Told == engine.IdleTime, outdated(l.progress.position.Senders[sender], ends)); err != nil {
			return err
		}
	}
	return nil
}

// endWaits ends the waits that have lasted as long as they may, and reports those that last.
func (l *life) endWaits() error {
	bound, report := l.inst.cfg.MaxUpstreamWait, l.inst.cfg.StuckAfter
	now := time.Now()
	if bound <= 0 && report < 0 || now.Sub(l.waits.looked) < min(upstreamCheck, cmp.Or(bound, upstreamCheck)) {
		return nil
	}
	l.waits.looked = now
	for _, held := range l.operators.Held(nil) {
		sender := state.Sender(held.By.Origin)
		silence := l.waits.silence(sender, now)
		if sender.Topic == "" || l.waits.overdue[sender] {
			continue
		}
		if bound > 0 && silence >= bound {
			if l.waits.overdue == nil {
				l.waits.overdue = make(map[state.Sender]bool)
			}
			l.waits.overdue[sender] = true
			l.logger.Warn("an upstream task is waited for no longer, see Config.MaxUpstreamWait: its records may be late", l.heldAttrs(held, silence)...)
			if err := l.classify(l.operators.Tell(held.By.Origin, engine.IdleTime)); err != nil {
				return err
			}
			continue
		}
		if report >= 0 && silence >= report && now.Sub(l.waits.reported) >= report {
			l.waits.reported = now
			l.logger.Warn("an upstream task holds windows and joins open: it has told nothing for long; it is dead, restoring, paused or stuck",
				l.heldAttrs(held, silence)...)
		}
	}
	return nil
}

// nextWait returns when a wait may end that is bounded.
func (l *life) nextWait() time.Duration {
	if l.inst.cfg.MaxUpstreamWait <= 0 {
		return 0
	}
	return min(upstreamCheck, l.inst.cfg.MaxUpstreamWait)
}

func (l *life) heldAttrs(held engine.Held, silence time.Duration) []any {
	group := ""
	if up := l.plan.upstream[held.By.Topic]; up != nil {
		group = up.sub.Group()
	}
	return []any{
		slog.String("node", held.Node), slog.String("upstream_group", group), slog.Int("upstream_partition", int(held.By.Partition)),
		slog.Time("upstream_time", time.UnixMilli(held.By.Time())), slog.Time("held_at", time.UnixMilli(held.Now)),
		slog.Time("largest", time.UnixMilli(held.Largest)), slog.Duration("silent_for", silence),
	}
}
