//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// commitInterval is the commit interval of the instances, the runtime's default.
const commitInterval = 100 * time.Millisecond

// experiment is one run.
type experiment struct {
	o       options
	out     io.Writer
	topic   string
	dir     string
	began   time.Time
	load    *load
	commits *commits

	instances []*instance
	mu        struct {
		sync.Mutex
		owners map[int]restore // by partition, as last said
		warm   map[*instance]int
	}

	stay, move, standby time.Duration
	tail, all           int64
}

func measure(ctx context.Context, o options, out io.Writer) (err error) {
	e := &experiment{o: o, out: out, topic: fmt.Sprintf("rescale-%d", time.Now().UnixMilli()), dir: o.dir, began: time.Now()}
	e.mu.owners, e.mu.warm = make(map[int]restore), make(map[*instance]int)
	if e.dir == "" {
		if e.dir, err = os.MkdirTemp("", "millrace-rescale-"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				err = os.RemoveAll(e.dir)
			} else {
				fmt.Fprintf(out, "logs and state are in %s\n", e.dir)
			}
		}()
	} else if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return err
	}
	defer func() {
		for _, i := range e.instances {
			i.process.Kill()
		}
	}()
	if e.load, err = newLoad(ctx, o, e.topic); err != nil {
		return err
	}
	defer e.load.close()
	wrong, err := e.run(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "stay=%dms move=%dms standby=%dms tail=%d/%d wrong=%d\n",
		e.stay.Milliseconds(), e.move.Milliseconds(), e.standby.Milliseconds(), e.tail, e.all, wrong)
	if wrong > 0 {
		return errWrong
	}
	return nil
}

func (e *experiment) say(format string, args ...any) {
	fmt.Fprintf(e.out, "%6.1fs %s\n", time.Since(e.began).Seconds(), fmt.Sprintf(format, args...))
}

func (e *experiment) run(ctx context.Context) (wrong int, err error) {
	e.say("loading %d keys into %s", e.o.keys, e.topic)
	if err := e.load.all(ctx); err != nil {
		return 0, err
	}
	first, err := e.start("a")
	if err != nil {
		return 0, err
	}
	if err := e.caughtUp(ctx); err != nil {
		return 0, err
	}
	e.say("one instance has counted them; %d records a second from now on", e.o.rate)

	background, stop := context.WithCancel(ctx)
	defer stop()
	if e.commits, err = followCommits(e.o, e.topic+"-"+storeName+"-table"); err != nil {
		return 0, err
	}
	var loading, following errgroup.Group
	loading.Go(func() error { return e.load.run(background) })
	watching, unwatch := context.WithCancel(ctx)
	following.Go(func() error { return e.commits.run(watching) })
	defer func() { unwatch(); _ = following.Wait() }()

	if err := e.changes(ctx, first); err != nil {
		return 0, err
	}
	stop()
	if err := loading.Wait(); err != nil {
		return 0, err
	}
	if err := e.caughtUp(ctx); err != nil {
		return 0, err
	}
	e.say("comparing %d keys", e.o.keys)
	counts, err := readCounts(ctx, e.o, e.topic+"-"+storeName+"-table")
	if err != nil {
		return 0, err
	}
	for key, want := range e.load.mu.counts {
		if got := counts[string(keyName(key))]; got != want {
			if wrong++; wrong <= 10 {
				e.say("key %s was counted %d times, want %d", keyName(key), got, want)
			}
		}
	}
	return wrong, nil
}

// changes makes all changes of the group, one after the other.
func (e *experiment) changes(ctx context.Context, first *instance) error {
	if err := e.watch(ctx, "nothing changes", func() error { return nil }, 1); err != nil {
		return err
	}
	if err := e.watch(ctx, "1 → 4 instances", func() error {
		for _, name := range []string{"b", "c", "d"} {
			if _, err := e.start(name); err != nil {
				return err
			}
		}
		return nil
	}, 4); err != nil {
		return err
	}
	if err := e.awaitStandbys(ctx); err != nil {
		return err
	}
	if err := e.kill(ctx, e.instances[3]); err != nil {
		return err
	}
	if err := e.watch(ctx, "it comes back", func() error { _, err := e.start("d"); return err }, 4); err != nil {
		return err
	}
	if err := e.watch(ctx, "4 → 2 instances", func() error {
		for _, i := range e.instances[2:] {
			i.process.Signal(syscall.SIGTERM)
		}
		return nil
	}, 2); err != nil {
		return err
	}
	if err := e.watch(ctx, "2 → 1 instances", func() error {
		e.instances[1].process.Signal(syscall.SIGTERM)
		return nil
	}, 1); err != nil {
		return err
	}
	return e.restartOnItsDisk(ctx, first)
}

// watch makes a change and measures the tasks until n instances share them, and for a while after that.
func (e *experiment) watch(ctx context.Context, what string, do func() error, n int) error {
	before, begun := e.owners(), time.Now()
	if err := do(); err != nil {
		return err
	}
	if err := e.balanced(ctx, n); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	took := time.Since(begun)
	if err := wait(ctx, e.o.settle); err != nil {
		return err
	}
	var stay, move time.Duration
	var moved int
	var restored int64
	for p, now := range e.owners() {
		gap := e.commits.gap(p, begun)
		if now.by == before[p].by {
			stay = max(stay, gap)
			continue
		}
		moved++
		restored += now.records
		move = max(move, gap)
	}
	e.say("%s: took %.1f s; %d tasks moved and restored %d records; longest gap between commits: %d ms where they stayed, %d ms where they moved",
		what, took.Seconds(), moved, restored, stay.Milliseconds(), move.Milliseconds())
	if moved > 0 { // tasks that stay while others move
		e.stay, e.move = max(e.stay, stay-commitInterval), max(e.move, move-commitInterval)
	}
	return nil
}

// kill kills an instance whose tasks have standbys and measures when the tasks commit again.
func (e *experiment) kill(ctx context.Context, victim *instance) error {
	var tasks []int
	for p, r := range e.owners() {
		if r.by == victim {
			tasks = append(tasks, p)
		}
	}
	killed := time.Now()
	victim.process.Kill()
	e.forget(victim)
	if err := e.balanced(ctx, len(e.instances)); err != nil {
		return fmt.Errorf("after a kill: %w", err)
	}
	if err := wait(ctx, e.o.settle); err != nil {
		return err
	}
	var restored int64
	for _, p := range tasks {
		took, ok := e.commits.after(p, killed.Add(commitInterval))
		if !ok {
			return fmt.Errorf("no instance works on partition %d of the killed instance", p)
		}
		restored += e.owners()[p].records
		e.standby = max(e.standby, took-e.o.sessionTimeout-commitInterval)
		e.say("kill -9: partition %d committed again after %d ms, of which the session timeout is %d ms",
			p, took.Milliseconds(), e.o.sessionTimeout.Milliseconds())
	}
	e.say("kill -9 of an instance with %d tasks: their standbys restored %d records", len(tasks), restored)
	return nil
}

// restartOnItsDisk kills the only instance and starts it again.
func (e *experiment) restartOnItsDisk(ctx context.Context, only *instance) error {
	killed := time.Now()
	only.process.Kill()
	e.forget(only)
	if _, err := e.start(only.name); err != nil {
		return err
	}
	if err := e.balanced(ctx, 1); err != nil {
		return fmt.Errorf("after the restart: %w", err)
	}
	if err := wait(ctx, e.o.settle); err != nil {
		return err
	}
	var longest time.Duration
	for p, r := range e.owners() {
		e.tail += r.records
		e.all += r.end
		took, _ := e.commits.after(p, killed.Add(commitInterval))
		longest = max(longest, took)
	}
	e.say("kill -9 of the only instance and start on its disk: %d of %d changelog offsets restored; all tasks committed again within %d ms, of which the session timeout is %d ms",
		e.tail, e.all, longest.Milliseconds(), e.o.sessionTimeout.Milliseconds())
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
