package processors

import (
	"fmt"
	"slices"
	"sync"
)

// State is where an App is in its life:
//
//	                             ┌──────────────────────────┐
//	                             ▼                          ▼
//	Created ──▶ Starting ──▶ Rebalancing ⇄ Restoring ──▶ Running
//	   │           │              │            │            │
//	   │           └──────┬───────┴────────────┴────────────┤
//	   │                  ▼                                 ▼
//	   │               Draining ───────────────────────▶ Failed
//	   │                  │
//	   └──────────────▶ Closed
//
// Starting verifies the topics and joins the groups; if there are global tables, it is Restoring in between until they are up
// to date. Rebalancing means that this instance waits for its share of a group, or
// that a task is being taken over or is about to try again. Restoring means that all tasks are taken over and some are
// still read from the changelog, Running that every task this instance has is at work. Draining finishes and commits what
// is open. An application that is paused is Running: see App.Pause.
type State uint8

// The states of an App.
const (
	Created State = iota
	Starting
	Rebalancing
	Restoring
	Running
	Draining
	Closed
	Failed
)

var stateNames = [...]string{"created", "starting", "rebalancing", "restoring", "running", "draining", "closed", "failed"} //nolint:gochecknoglobals // a table

// String returns the state in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// next lists the legal successors of each state.
func (s State) next() []State {
	switch s {
	case Created:
		return []State{Starting, Closed}
	case Starting:
		return []State{Rebalancing, Restoring, Draining, Failed}
	case Rebalancing:
		return []State{Restoring, Running, Draining, Failed}
	case Restoring:
		return []State{Rebalancing, Running, Draining, Failed}
	case Running:
		return []State{Rebalancing, Draining, Failed}
	case Draining:
		return []State{Closed, Failed}
	case Closed, Failed:
		return nil
	default:
		return nil
	}
}

// lifecycle is the state of an App and who is told of its changes.
type lifecycle struct {
	changed func(from, to State)
	mu      struct {
		sync.Mutex
		state State
	}
}

func (l *lifecycle) state() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.state
}

// enter moves to the state and reports whether that was a legal change; to stay is not one. The listener is called
// with the lock held, so that it hears changes in their order; it must not ask for the state.
func (l *lifecycle) enter(to State) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.mu.state
	if !slices.Contains(from.next(), to) {
		return false
	}
	l.mu.state = to
	if l.changed != nil {
		l.changed(from, to)
	}
	return true
}
