package processors

import (
	"sync"
	"time"
)

// activity is what a task spends its time with.
type activity uint8

const (
	activityStart    activity = iota // set up
	activityTakeOver                 // fence the owner before
	activityRestore
	activityProcess // records run through the operators; waiting for the producer's buffer included
	activityCommit
	activityWait  // for records, or for an input that is behind
	activityRetry // pause after a failure
	activities
)

var activityNames = [activities]string{"start", "take_over", "restore", "process", "commit", "wait", "retry"} //nolint:gochecknoglobals // a table

func (a activity) String() string { return activityNames[a] }

// activityClock measures how long a task does what. The task changes it, whoever wants to know reads it.
type activityClock struct {
	mu      sync.Mutex
	current activity
	since   time.Time // zero before the start and after the end
	spent   [activities]time.Duration
}

func (c *activityClock) enter(a activity, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(now)
	c.current, c.since = a, now
}

// stop says that the task does nothing any more.
func (c *activityClock) stop(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(now)
	c.since = time.Time{}
}

func (c *activityClock) settle(now time.Time) {
	if !c.since.IsZero() {
		c.spent[c.current] += now.Sub(c.since)
	}
}

// read returns the activity under way, since when, and the time spent with each, that one included.
func (c *activityClock) read(now time.Time) (current activity, since time.Time, spent [activities]time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spent = c.spent
	if !c.since.IsZero() {
		spent[c.current] += now.Sub(c.since)
	}
	return c.current, c.since, spent
}
