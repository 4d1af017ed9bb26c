//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed84377926/millrace/test/process"
)

// instance is one worker and its successors on the same directory. It belongs to the conductor's goroutine.
type instance struct {
	index   int
	dir     string
	process *process.Process // nil while it is down
	birth   int              // number of the process, so that what an old one said late is not taken for the new one's

	running bool // it said so
	stalled bool // stopped, to be continued
	leaving bool // told to end
	doomed  bool // killed, or about to kill itself
	commits int64
}

// idle reports whether no fault of the instance is in progress, so that one may begin.
func (i *instance) idle() bool {
	return i.process != nil && !i.stalled && !i.leaving && !i.doomed
}

// taskID is one task of the application, on any instance.
type taskID struct {
	group     string
	partition int
}

// ownership is the instance that took a task over last, and since when and why the task has no owner.
type ownership struct {
	owner *instance
	birth int
	lost  time.Time
	why   string
}

// points returns the places at which a worker may break: the steps of the commit protocol, and takeovers. A worker
// breaks when it has come to the place for the n-th time; hits is the largest n.
func points() []struct {
	name string
	hits int
} {
	return []struct {
		name string
		hits int
	}{
		{"task.unit", 120},           // records are processed, outputs on their way
		{"commit.begin", 80},         // before the dirty rows are flushed
		{"commit.flushed", 80},       // before they are produced
		{"commit.rows", 80},          // before the position record
		{"commit.produced", 80},      // before all is acknowledged
		{"writer.flushed", 80},       // before the group is added to the transaction
		{"writer.offsets-added", 80}, // before the offsets
		{"writer.offsets", 80},       // before the transaction is ended
		{"commit.confirmed", 80},     // before the engine applies
		{"commit.applied", 80},       // after
		{"takeover.fenced", 6},       // before the offsets are read
		{"takeover.offsets", 6},      // before the restore
		{"takeover.restored", 6},     // before the work
	}
}

// launch starts the instance's next process. plan is the place at which it breaks by itself, "" if it does not.
func (c *conductor) launch(i *instance, plan string) error {
	i.birth++
	i.running, i.stalled, i.leaving, i.doomed = false, false, false, false
	birth := i.birth
	args := []string{
		workerCommand, "--app", c.app, "--brokers", c.entry, "--dir", i.dir, "--session-timeout", c.o.sessionTimeout.String(),
		"--standbys", strconv.Itoa(c.o.standbys), "--rack", fmt.Sprint("rack-", i.index%2),
	}
	if i.index < c.o.static {
		args = append(args, "--instance-id", filepath.Base(i.dir))
	}
	if c.o.noFence {
		args = append(args, "--no-fence")
	}
	if c.o.atLeastOnce {
		args = append(args, "--at-least-once")
	}
	child, err := process.Spawn(args, []string{faultEnv + "=" + plan}, filepath.Join(c.dir, filepath.Base(i.dir)+".log"),
		func(line string) { c.post(func() { c.recordLine(i, birth, line) }) },
		func(state *os.ProcessState) { c.post(func() { c.ended(i, birth, state) }) },
	)
	i.process = child
	return err
}

// recordLine records a message of a worker.
func (c *conductor) recordLine(i *instance, birth int, line string) {
	words := strings.Fields(line)
	switch {
	case len(words) == 0:
	case words[0] == saysCommits && len(words) == 2:
		n, err := strconv.ParseInt(words[1], 10, 64)
		if err == nil && birth == i.birth {
			c.commits += n - i.commits
			i.commits = n
		}
	case words[0] == saysOwns && len(words) == 4:
		if p, err := strconv.Atoi(words[2]); err == nil {
			c.owns(i, birth, taskID{words[1], p})
		}
	case birth != i.birth:
	case words[0] == saysRunning:
		i.running = true
		c.failures = 0
	case words[0] == saysFault && len(words) == 3:
		c.points++
		if words[1] == actStop {
			c.stalls++
			c.stalling(i)
			return
		}
		i.doomed = true
		c.kills++
		c.lost(i, "kill")
	}
}

// owns records that a task is working again.
func (c *conductor) owns(i *instance, birth int, id taskID) {
	task := c.tasks[id]
	if task == nil {
		task = &ownership{}
		c.tasks[id] = task
	}
	if !task.lost.IsZero() && (task.owner != i || task.birth != birth) {
		c.takeovers[task.why] = append(c.takeovers[task.why], time.Since(task.lost))
	}
	task.owner, task.birth, task.lost = i, birth, time.Time{}
}

// lost records that the tasks of an instance have no owner from now on.
func (c *conductor) lost(i *instance, why string) {
	for _, task := range c.tasks {
		if task.owner == i && task.birth == i.birth && task.lost.IsZero() {
			task.lost, task.why = time.Now(), why
		}
	}
}

// stalling records that a worker is stopped and schedules its continuation: sometimes before the session timeout is
// over, mostly after it.
func (c *conductor) stalling(i *instance) {
	i.stalled = true
	c.lost(i, "stall")
	birth := i.birth
	shortest, longest := 300*time.Millisecond, 3*c.o.sessionTimeout
	if c.o.noFence {
		shortest, longest = 3*c.o.sessionTimeout, 4*c.o.sessionTimeout
	}
	c.after(c.between(shortest, longest), func() {
		if i.process != nil && i.birth == birth && i.stalled {
			i.stalled = false
			c.found(i)
			i.process.Signal(syscall.SIGCONT)
		}
	})
}

// found records that a stalled instance continues: the tasks that no other instance took over were never lost.
func (c *conductor) found(i *instance) {
	for _, task := range c.tasks {
		if task.owner == i && task.birth == i.birth {
			task.lost = time.Time{}
		}
	}
}

// ended records that a process has ended, and schedules the start of the next one.
func (c *conductor) ended(i *instance, birth int, state *os.ProcessState) {
	if birth != i.birth {
		return
	}
	i.process = nil
	i.commits = 0
	killed := !state.Exited()
	switch {
	case i.doomed:
	case killed:
		c.verdict.wrong("worker", filepath.Base(i.dir), "ended by %v, which nobody sent; see its log", state)
	case state.ExitCode() == 2:
		c.verdict.wrong("worker", filepath.Base(i.dir), "panicked; see its log")
	case i.leaving && state.ExitCode() == 0:
	case i.leaving:
		c.say("%s left with exit code %d", filepath.Base(i.dir), state.ExitCode())
	case i.running:
		// A worker survives every fault of other workers and of the broker: only its own faults may end it.
		c.verdict.wrong("worker", filepath.Base(i.dir), "gave up with exit code %d: %s", state.ExitCode(), lastLine(filepath.Join(c.dir, filepath.Base(i.dir)+".log")))
		c.failures++
	default:
		c.failures++ // it could not start: the broker may be down
	}
	if !c.closing {
		c.after(c.between(0, time.Second), func() { c.start(i) })
	}
}

// start starts an instance, if it is down.
func (c *conductor) start(i *instance) {
	if i.process != nil || c.closing {
		return
	}
	if c.brokerDown {
		c.after(100*time.Millisecond, func() { c.start(i) })
		return
	}
	if err := c.launch(i, c.plan(i)); err != nil {
		c.fail(err)
	}
}

// plan chooses where the next process of an instance breaks by itself: every second one does. In the negative control
// one instance only stalls, at the worst place: its transaction has outputs, but nothing yet that would keep the next
// owner from starting, and the other instances are running and take over.
func (c *conductor) plan(i *instance) string {
	if c.o.noFence {
		if i.index > 0 {
			return ""
		}
		return fmt.Sprintf("commit.begin:%d:%s", 20+c.rng.IntN(20), actStop)
	}
	if !c.chaos || c.rng.IntN(2) == 0 {
		return ""
	}
	all := points()
	point := all[c.rng.IntN(len(all))]
	act := actKill
	if c.rng.IntN(3) == 0 {
		act = actStop
	}
	return fmt.Sprintf("%s:%d:%s", point.name, 1+c.rng.IntN(point.hits), act)
}

// lastLine returns the last line of a file, for messages.
func lastLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(data))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
