package processors

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
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
//
// An upstream task that has nothing to read says so once, and then it is silent. Its mark names the source offsets that
// it reflects, so whether it is still true can be seen in Kafka: if a source has more, the time of the upstream task
// counts again until it speaks. So a task looks before it goes on after a pause, and when it has begun with what was
// committed: otherwise the first upstream task at work would make the records of the others late.
type waits struct {
	began    time.Time                  // when the life began
	lastTold map[state.Sender]time.Time // when each upstream task told its time last, in this life
	overdue  map[state.Sender]bool      // is waited for no longer, see Config.MaxUpstreamWait
	checked  time.Time                  // when the idle ones were last compared with what they have to read
	busy     time.Time                  // when a record was last processed
	looked   time.Time                  // when it was last looked at waits that last
	reported time.Time
}

// recordTold notes that an upstream task has told its time.
func (w *waits) recordTold(sender state.Sender) {
	if w.lastTold == nil {
		w.lastTold = make(map[state.Sender]time.Time)
	}
	w.lastTold[sender] = time.Now()
	delete(w.overdue, sender)
}

// restart begins to measure silence anew.
func (w *waits) restart() { w.began, w.lastTold = time.Now(), nil }

// silence returns for how long an upstream task has told nothing.
func (w *waits) silence(sender state.Sender, now time.Time) time.Duration {
	if at, ok := w.lastTold[sender]; ok {
		return now.Sub(at)
	}
	return now.Sub(w.began)
}

// holdStaleIdle lets the time of idle upstream tasks count again if their sources have more. It is called with a unit
// in hand, before the unit is processed.
func (l *life) holdStaleIdle(ctx context.Context) error {
	if !l.upstream {
		return nil
	}
	now := time.Now()
	paused := false
	if l.unit.hasRecords(l.plan) {
		paused = now.Sub(l.waits.busy) >= upstreamPause
		l.waits.busy = now
	}
	if !paused && now.Sub(l.waits.checked) < upstreamCheck {
		return nil
	}
	return l.compareIdle(ctx, func(sender state.Sender, idle, more bool) error {
		if !idle || !more || l.waits.overdue[sender] {
			return nil
		}
		l.logger.Debug("an idle upstream task has something to read: its time counts", slog.String("topic", sender.Topic),
			slog.Int("upstream_partition", int(sender.Partition)))
		return l.tell(sender, engine.UnknownTime)
	})
}

// releaseIdle waits no longer for upstream tasks that are idle as their marks say and whose sources have no more.
func (l *life) releaseIdle(ctx context.Context) error {
	if !l.upstream {
		return nil
	}
	if err := l.boundWaits(ctx); err != nil {
		return err
	}
	if time.Since(l.waits.checked) < upstreamCheck || !l.doubted() {
		return nil
	}
	return l.compareIdle(ctx, func(sender state.Sender, idle, more bool) error {
		if idle || more {
			return nil
		}
		return l.tell(sender, engine.IdleTime)
	})
}

// nextLook returns when to look again at upstream tasks that are waited for, 0 for after the next record.
func (l *life) nextLook() time.Duration {
	cfg := &l.inst.cfg
	switch {
	case !l.upstream:
		return 0
	case l.doubted():
		return max(time.Millisecond, upstreamCheck-time.Since(l.waits.checked))
	case cfg.MaxUpstreamWait <= 0 && cfg.StuckAfter < 0 || len(l.operators.Held(nil)) == 0:
		return 0
	default:
		return min(upstreamCheck, cmp.Or(cfg.MaxUpstreamWait, upstreamCheck))
	}
}

// tell tells the operators how far an upstream task has come, outside of a unit. What the tasks downstream must hear of
// it, a commit tells them.
func (l *life) tell(sender state.Sender, at int64) error {
	l.current = nil
	if err := l.classify(l.operators.Tell(engine.Origin(sender), at)); err != nil {
		return err
	}
	if l.marksChanged() {
		return l.openTransaction()
	}
	return nil
}

// idleClaims yields how far the upstream tasks have come whose last marks say that they are idle.
func (l *life) idleClaims(yield func(engine.Progress) bool) {
	l.progress.origins = l.operators.Progress(l.progress.origins[:0])
	for _, o := range l.progress.origins {
		if m, ok := l.progress.position.Senders[state.Sender(o.Origin)]; ok && m.Time == state.IdleTime && !yield(o) {
			return
		}
	}
}

// doubted says whether the time of an upstream task counts although it said that it is idle.
func (l *life) doubted() bool {
	for o := range l.idleClaims {
		if o.Told != engine.IdleTime {
			return true
		}
	}
	return false
}

// compareIdle calls f for each upstream task whose last mark says that it is idle: whether it is taken for idle now,
// and whether its sources have more than the mark reflects.
func (l *life) compareIdle(ctx context.Context, f func(sender state.Sender, idle, more bool) error) error {
	claims := slices.Collect(l.idleClaims)
	if len(claims) == 0 {
		return nil
	}
	l.waits.checked = time.Now()
	look, looked := context.WithTimeout(ctx, idleLookTimeout)
	defer looked()
	ends, err := l.group.sources.read(look, l.plan)
	if err != nil {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		l.logger.Debug("cannot find out whether idle upstream tasks have something to read: their time counts", slog.Any("error", err))
	}
	for _, o := range claims {
		sender := state.Sender(o.Origin)
		if err := f(sender, o.Told == engine.IdleTime, err != nil || l.outdated(sender, ends)); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) outdated(sender state.Sender, ends state.Offsets) bool {
	return outdated(l.progress.position.Senders[sender], ends, l.plan.upstreamDirect[sender.Topic], sender.Partition)
}

// boundWaits ends the waits that have lasted as long as they may, and reports those that last.
func (l *life) boundWaits(ctx context.Context) error {
	bound, report := l.inst.cfg.MaxUpstreamWait, l.inst.cfg.StuckAfter
	now := time.Now()
	if bound <= 0 && report < 0 || now.Sub(l.waits.looked) < min(upstreamCheck, cmp.Or(bound, upstreamCheck)) {
		return nil
	}
	l.waits.looked = now
	reporting := report >= 0 && now.Sub(l.waits.reported) >= report
	seen := make(map[state.Sender]bool)
	// The operators come after the time of the task itself, and say more.
	for _, held := range slices.Backward(l.operators.Held(nil)) {
		sender := state.Sender(held.By.Origin)
		silence := l.waits.silence(sender, now)
		if sender.Topic == "" || seen[sender] || l.waits.overdue[sender] {
			continue
		}
		seen[sender] = true
		ending := bound > 0 && silence >= bound
		reports := reporting && silence >= report
		if !ending && !reports {
			continue
		}
		attrs := l.heldAttrs(held, silence)
		// What the upstream task has told may wait here.
		if read, err := l.atEnd(ctx, func(in *input) bool { return in.topic == sender.Topic }); err != nil || !read {
			if reports {
				l.waits.reported = now
				l.logger.Warn("windows and joins stay open: the topic is not read to its end; the brokers cannot be reached, "+
					"or a task of the upstream group that hangs or died has a transaction open",
					append(attrs, slog.String("topic", sender.Topic))...)
			}
			continue
		}
		if ending {
			if l.waits.overdue == nil {
				l.waits.overdue = make(map[state.Sender]bool)
			}
			l.waits.overdue[sender] = true
			l.logger.Warn("an upstream task is waited for no longer, see Config.MaxUpstreamWait: its records may be late", attrs...)
			if err := l.tell(sender, engine.IdleTime); err != nil {
				return err
			}
			continue
		}
		l.waits.reported = now
		l.logger.Warn("an upstream task holds windows and joins open: it has not told its time for long; "+
			"it is dead, restoring, paused or stuck: restart or resume it, or set Config.MaxUpstreamWait", attrs...)
	}
	return nil
}

func (l *life) heldAttrs(held engine.Held, silence time.Duration) []any {
	return []any{
		slog.String("node", held.Node), slog.String("upstream_group", l.plan.upstreamGroup(held.By.Topic)), slog.Int("upstream_partition", int(held.By.Partition)),
		slog.Time("upstream_time", time.UnixMilli(held.By.Time())), slog.Time("held_at", time.UnixMilli(held.Now)),
		slog.Time("largest", time.UnixMilli(held.Largest)), slog.Duration("silent_for", silence),
	}
}
