package processors

import (
	"fmt"
	"slices"
	"sync"
)

// State is the state of an App:
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
// The states of an application that runs:
//
//   - Starting verifies the topics and joins the groups. If there are global tables, the App is Restoring in between, until
//     they are up to date.
//   - Rebalancing waits for this instance's share of a group, or for a task that is being taken over or about to try again.
//   - Restoring has taken over all tasks, and some are still read from the changelog.
//   - Running has every task of this instance at work. A paused application is Running, too: see App.Pause.
//   - Draining finishes and commits what is open.
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

// next returns the states that may follow the state.
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

// stateMachine is the state of an App; changed is called with each change.
type stateMachine struct {
	changed func(from, to State)
	mu      struct {
		sync.Mutex
		state State
	}
}

func (m *stateMachine) current() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.state
}

// enter changes the state if that is allowed, and reports whether it did. Entering the current state is not allowed.
// The function m.changed is called with the lock held, so that it gets changes in order; it must not ask for the state.
func (m *stateMachine) enter(to State) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.mu.state
	if !slices.Contains(from.next(), to) {
		return false
	}
	m.mu.state = to
	if m.changed != nil {
		m.changed(from, to)
	}
	return true
}
