//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// conductor breaks things. Its fields belong to the goroutine that calls play; other goroutines post functions to it.
type conductor struct {
	o       options
	out     io.Writer
	app     string
	dir     string
	entry   string // where workers connect: the proxy
	cluster cluster
	input   *input
	proxy   *proxy
	verdict *verdict
	rng     *rand.Rand

	inbox     chan func()
	stopped   chan struct{} // closed: nobody reads the inbox any more
	agenda    []appointment
	instances []*instance
	tasks     map[taskID]*ownership
	err       error
	began     time.Time

	chaos      bool // faults happen
	closing    bool // who ends is not started again
	brokerDown bool
	failures   int // starts and lives that failed in a row

	kills, stalls, leaves, points, brokerKills int
	commits                                    int64
	takeovers                                  map[string]pauses // by what happened to the owner before
}

// appointment is a function that is due at a time.
type appointment struct {
	at time.Time
	do func()
}

func newConductor(o options, out io.Writer, app, dir string) *conductor {
	c := &conductor{
		o: o, out: out, app: app, dir: dir, verdict: &verdict{atLeastOnce: o.atLeastOnce}, began: time.Now(),
		rng:   rand.New(rand.NewPCG(uint64(o.seed), 2)),
		inbox: make(chan func(), 1024), stopped: make(chan struct{}),
		tasks: make(map[taskID]*ownership), takeovers: make(map[string]pauses),
	}
	for i := range o.instances {
		c.instances = append(c.instances, &instance{index: i, dir: filepath.Join(dir, fmt.Sprintf("worker-%d", i))})
	}
	return c
}

// post makes the conductor's goroutine call do.
func (c *conductor) post(do func()) {
	select {
	case c.inbox <- do:
	case <-c.stopped:
	}
}

// after makes the conductor's goroutine call do after d.
func (c *conductor) after(d time.Duration, do func()) {
	c.agenda = append(c.agenda, appointment{time.Now().Add(d), do})
	slices.SortStableFunc(c.agenda, func(a, b appointment) int { return a.at.Compare(b.at) })
}

// between returns a random duration.
func (c *conductor) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(c.rng.Int64N(int64(hi-lo)+1))
}

func (c *conductor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// say prints a line of progress.
func (c *conductor) say(format string, args ...any) {
	fmt.Fprintf(c.out, "%5.1fs %s\n", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

// play runs due appointments and posted functions until done returns true.
func (c *conductor) play(ctx context.Context, done func() bool) error {
	for c.err == nil && !done() {
		for len(c.agenda) > 0 && !time.Now().Before(c.agenda[0].at) {
			do := c.agenda[0].do
			c.agenda = c.agenda[1:]
			do()
		}
		pause := 100 * time.Millisecond
		if len(c.agenda) > 0 {
			pause = min(pause, time.Until(c.agenda[0].at))
		}
		timer := time.NewTimer(pause)
		select {
		case do := <-c.inbox:
			do()
		case <-timer.C:
		case <-ctx.Done():
			c.fail(context.Cause(ctx))
		}
		timer.Stop()
	}
	return c.err
}

// progress prints a line every two seconds.
func (c *conductor) progress() {
	up := 0
	for _, i := range c.instances {
		if i.process != nil && i.running && !i.stalled {
			up++
		}
	}
	c.say("up=%d produced=%d commits=%d kills=%d stalls=%d leaves=%d at-points=%d broker-kills=%d lost-answers=%d wrong=%d",
		up, c.input.produced(), c.commits, c.kills, c.stalls, c.leaves, c.points, c.brokerKills, c.proxy.lost.Load(), len(c.verdict.findings()))
	c.after(2*time.Second, c.progress)
}

// begin starts breaking things.
func (c *conductor) begin(ctx context.Context) {
	c.chaos = true
	if c.o.noFence {
		return // a kill hides the missing fence: the dead owner's open transaction holds readers back; see plan
	}
	c.after(c.pace(), c.strike)
	if c.cluster.mortal() {
		c.after(c.between(3*time.Second, 10*time.Second), func() { c.strikeBroker(ctx) })
	}
}

// pace is the time between two faults.
func (c *conductor) pace() time.Duration {
	return c.between(200*time.Millisecond, 1400*time.Millisecond)
}

// strike applies a random fault to one worker.
func (c *conductor) strike() {
	if !c.chaos {
		return
	}
	defer c.after(c.pace(), c.strike)
	var idle []*instance
	for _, i := range c.instances {
		if i.idle() {
			idle = append(idle, i)
		}
	}
	if len(idle) == 0 {
		return
	}
	i := idle[c.rng.IntN(len(idle))]
	draw := c.rng.IntN(10)
	switch {
	case draw < 5:
		c.kills++
		i.doomed = true
		c.lost(i, "kill")
		i.process.Signal(syscall.SIGKILL)
	case draw < 8:
		c.stalls++
		i.process.Signal(syscall.SIGSTOP)
		c.stalling(i)
	case i.running:
		c.leaves++
		c.lost(i, "leave")
		c.dismiss(i)
	}
}

// leaveTimeout bounds how long a worker may take to end in order: somewhat longer than the runtime takes.
const leaveTimeout = 45 * time.Second

// dismiss tells a worker to end. A worker that does not end is made to print the stacks of its goroutines.
func (c *conductor) dismiss(i *instance) {
	i.leaving = true
	i.process.Signal(syscall.SIGCONT)
	i.process.Signal(syscall.SIGTERM)
	birth := i.birth
	c.after(leaveTimeout, func() {
		if i.process != nil && i.birth == birth {
			c.verdict.wrong("worker", filepath.Base(i.dir), "does not end; where its goroutines are is in its log")
			i.doomed = true
			i.process.Signal(syscall.SIGQUIT)
		}
	})
}

// strikeBroker kills the broker while no input record is being sent, and starts it again. The workers have to recover
// whatever they were sending.
func (c *conductor) strikeBroker(ctx context.Context) {
	if !c.chaos {
		return
	}
	c.input.gate.Lock()
	c.brokerKills++
	c.kills++
	c.brokerDown = true
	if err := c.cluster.kill(ctx); err != nil {
		c.fail(err)
	}
	c.after(c.between(100*time.Millisecond, 2*time.Second), func() {
		go func() {
			err := c.cluster.start(ctx)
			c.post(func() {
				if err != nil {
					c.fail(err)
				}
				c.brokerDown = false
				c.input.gate.Unlock()
				c.after(c.between(8*time.Second, 16*time.Second), func() { c.strikeBroker(ctx) })
			})
		}()
	})
}

// calm ends the faults: stopped workers continue, and dead ones are started again.
func (c *conductor) calm() {
	c.chaos = false
	c.failures = 0
	for _, i := range c.instances {
		if i.process != nil && i.stalled {
			i.stalled = false
			c.found(i)
			i.process.Signal(syscall.SIGCONT)
		}
	}
}

// leave makes every worker end in order and waits for all of them.
func (c *conductor) leave(ctx context.Context) error {
	c.closing = true
	for _, i := range c.instances {
		if i.process != nil && !i.leaving {
			c.dismiss(i)
		}
	}
	return c.play(ctx, c.down)
}

func (c *conductor) down() bool {
	return !slices.ContainsFunc(c.instances, func(i *instance) bool { return i.process != nil })
}

// running reports whether every worker is running.
func (c *conductor) running() bool {
	return !slices.ContainsFunc(c.instances, func(i *instance) bool { return i.process == nil || !i.running })
}

// close ends everything that is still running.
func (c *conductor) close() {
	close(c.stopped)
	for _, i := range c.instances {
		if i.process != nil {
			i.process.Kill()
		}
	}
}
