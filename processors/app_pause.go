package processors

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/seed84377926/millrace/topology"
)

// pauses holds, by group, whether it is paused. The map itself does not change.
type pauses map[string]*atomic.Bool

// newPauses returns pauses for the groups of a topology; none is paused.
func newPauses(top *topology.Topology) pauses {
	p := make(pauses)
	for _, sub := range top.SubTopologies() {
		p[sub.Group()] = new(atomic.Bool)
	}
	return p
}

// set pauses or resumes the groups, all if none is named. It changes nothing if a name is unknown.
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
// (KIP-834). Each task commits what is open and then waits: it keeps its place in the group, and its state can be
// queried. A task that starts while its group is paused is restored and then waits, too. Pause does not wait for the
// tasks; Info shows a task as "paused" when nothing of it is open. Pause may be called before Run.
//
// If a group does not exist, Pause returns an error and pauses nothing.
func (a *App) Pause(groups ...string) error { return a.setPaused(groups, true) }

// Resume ends the pause of the named groups, or of all groups if none is named.
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
