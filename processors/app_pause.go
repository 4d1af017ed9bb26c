package processors

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// pauses says which groups are paused. The map is never changed.
type pauses map[string]*atomic.Bool

func (p pauses) set(groups []string, paused bool) error {
	if len(groups) == 0 {
		groups = slices.Collect(maps.Keys(p))
	}
	for _, name := range groups {
		if p[name] == nil {
			return fmt.Errorf("no group %q; this application has %s", name, strings.Join(slices.Sorted(maps.Keys(p)), ", "))
		}
	}
	for _, name := range groups {
		p[name].Store(paused)
	}
	return nil
}

// Pause makes the tasks of the named groups, or of all groups if none is named, stop processing on this instance
// (KIP-834). Each commits what is open and then waits: it keeps its place in the group, its state can be queried, and an
// instance that is started or assigned a task while it is paused restores it and waits, too. Pause does not wait for the
// tasks; Info shows each as "paused" when nothing of it is open. It may be called before Run.
//
// A group without the name is an error, and nothing is paused then.
func (a *App) Pause(groups ...string) error { return a.setPaused(groups, true) }

// Resume ends what Pause began, for the named groups or for all.
func (a *App) Resume(groups ...string) error { return a.setPaused(groups, false) }

// Paused says whether all groups of the application are paused.
func (a *App) Paused() bool {
	for _, p := range a.pauses {
		if !p.Load() {
			return false
		}
	}
	return true
}

func (a *App) setPaused(groups []string, paused bool) error {
	if err := a.pauses.set(groups, paused); err != nil {
		return fmt.Errorf("pause or resume %s: %w", a.top.Name(), err)
	}
	a.cfg.Logger.Info("pause changed", slog.Bool("paused", paused), slog.Any("groups", groups))
	for _, g := range a.groups() {
		for _, t := range g.tasks() {
			t.wake()
		}
	}
	return nil
}

func (g *group) paused() bool { return g.app.pauses[g.plan().sub.Group()].Load() }

// wake makes an idle task look again.
func (t *task) wake() {
	select {
	case t.stats.ready <- struct{}{}:
	default:
	}
}

// rest commits what is open and waits until the group is resumed or the task is stopping.
func (t *task) rest(ctx context.Context, commit func() error) error {
	if t.life.open {
		if err := commit(); err != nil {
			return err
		}
	}
	t.enter(taskPaused)
	for t.group.paused() {
		select {
		case <-t.stats.ready:
		case <-t.stopping:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	t.enter(taskRunning)
	return nil
}
