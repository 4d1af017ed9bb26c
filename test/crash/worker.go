//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/internal/fault"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/test/process"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// workerCommand is the hidden subcommand that is a worker.
const workerCommand = "worker"

// faultEnv names the environment variable that tells a worker where to break: "point:hit:kill" or "point:hit:stop". It
// is read once, by the worker's main function.
const faultEnv = "MILLRACE_CRASH_FAULT"

// The messages of a worker to the orchestrator, one in each line of its standard output. Its log goes to standard
// error.
const (
	saysRunning = "running" // for the first time
	saysOwns    = "owns"    // group partition records: a task has taken over and restored
	saysCommits = "commits" // how many since the start
	saysFault   = "fault"   // kill|stop point: the next thing it does
)

// workerOptions are the command line of a worker.
type workerOptions struct {
	app, brokers, dir string
	sessionTimeout    time.Duration
	noFence           bool
	standbys          int
	rack, instanceID  string
	atLeastOnce       bool
}

func runWorker(ctx context.Context, args []string, out, errOut io.Writer) error {
	var o workerOptions
	flags := flag.NewFlagSet(workerCommand, flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.app, "app", "", "name of the application")
	flags.StringVar(&o.brokers, "brokers", "", "addresses of the brokers")
	flags.StringVar(&o.dir, "dir", "", "directory of state and views")
	flags.DurationVar(&o.sessionTimeout, "session-timeout", 0, "session timeout")
	flags.IntVar(&o.standbys, "standbys", 0, "copies of each task's state")
	flags.StringVar(&o.rack, "rack", "", "where the worker is")
	flags.StringVar(&o.instanceID, "instance-id", "", "its name as a static member")
	flags.BoolVar(&o.noFence, "no-fence", false, "every owner has its own transactional id")
	flags.BoolVar(&o.atLeastOnce, "at-least-once", false, "run without transactions")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var commits atomic.Int64
	faults, err := newFaults(os.Getenv(faultEnv), o.noFence, &commits, out)
	if err != nil {
		return err
	}
	fault.Install(faults)

	top, err := application(o.app)
	if err != nil {
		return err
	}
	app, err := processors.New(top, workerConfig(o, out, errOut))
	if err != nil {
		return err
	}
	ctx, cancel := process.WithParent(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return app.Run(ctx) })
	group.Go(func() error { return runViews(ctx, o, top, errOut) })
	group.Go(func() error { return reportCommits(ctx, &commits, out) })
	return group.Wait()
}

// workerConfig makes everything small and quick, so that a minute has many commits, evictions and takeovers in it.
func workerConfig(o workerOptions, out, errOut io.Writer) processors.Config {
	var running atomic.Bool
	guarantee := processors.ExactlyOnce
	if o.atLeastOnce {
		guarantee = processors.AtLeastOnce
	}
	return processors.Config{
		Guarantee:          guarantee,
		Brokers:            []string{o.brokers},
		Dir:                filepath.Join(o.dir, stateDir),
		Logger:             slog.New(slog.NewTextHandler(errOut, nil)),
		CommitInterval:     50 * time.Millisecond,
		MemoryBytes:        4 << 20, // half a megabyte of cache, and the smallest memtables
		Address:            filepath.Base(o.dir),
		SessionTimeout:     o.sessionTimeout,
		TransactionTimeout: 10 * time.Second,
		Standbys:           o.standbys,
		AcceptableLag:      200,
		Rack:               o.rack,
		InstanceID:         o.instanceID,
		CleanupDelay:       5 * time.Second,
		Hooks: processors.Hooks{
			StateChanged: func(_, to processors.State) {
				if to == processors.Running && running.CompareAndSwap(false, true) {
					fmt.Fprintln(out, saysRunning)
				}
			},
			RestoreProgress: func(p processors.RestoreProgress) {
				if p.Done {
					fmt.Fprintln(out, saysOwns, p.Group, p.Partition, p.Records)
				}
			},
		},
	}
}

// Directories of a worker.
const (
	stateDir = "state"
	viewsDir = "views"
)

// runViews keeps views of everything beside the application, so that they die and come back with it.
func runViews(ctx context.Context, o workerOptions, top *topology.Topology, errOut io.Writer) error {
	vs, err := views.Open(ctx, views.Config{
		Brokers: []string{o.brokers}, Dir: filepath.Join(o.dir, viewsDir), Logger: slog.New(slog.NewTextHandler(errOut, nil)),
	}, top.Tables()...)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to end before it began
	}
	if err != nil {
		return err
	}
	return vs.Run(ctx)
}

func reportCommits(ctx context.Context, commits *atomic.Int64, out io.Writer) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			fmt.Fprintln(out, saysCommits, commits.Load())
		case <-ctx.Done():
			return nil
		}
	}
}

// newFaults makes what plan says happen.
func newFaults(plan string, noFence bool, commits *atomic.Int64, out io.Writer) (*fault.Faults, error) {
	breaker := func(string) {}
	if plan != "" {
		name, act, hit, err := parseFault(plan)
		if err != nil {
			return nil, err
		}
		var hits atomic.Int64
		breaker = func(point string) {
			if point != name {
				return
			}
			// Without the fence one stall proves little: it must last while another owner commits.
			if n := hits.Add(1); n == hit || noFence && n%hit == 0 && n/hit <= controlStalls {
				fmt.Fprintln(out, saysFault, act, name)
				breakHere(act)
			}
		}
	}
	faults := &fault.Faults{Point: func(point string) {
		if point == "commit.applied" {
			commits.Add(1)
		}
		breaker(point)
	}}
	if noFence {
		start := strconv.FormatInt(time.Now().UnixNano(), 36)
		var owners atomic.Int64
		faults.TransactionalID = func(id string) string { return fmt.Sprintf("%s.%s.%d", id, start, owners.Add(1)) }
	}
	return faults, nil
}

// controlStalls is how often a process of the negative control stops itself.
const controlStalls = 20

// Ways to break.
const (
	actKill = "kill"
	actStop = "stop"
)

// parseFault reads "point:hit:kill" or "point:hit:stop".
func parseFault(plan string) (point, act string, hit int64, err error) {
	parts := strings.Split(plan, ":")
	if len(parts) == 3 {
		hit, err = strconv.ParseInt(parts[1], 10, 64)
	}
	if len(parts) != 3 || err != nil || parts[2] != actKill && parts[2] != actStop {
		return "", "", 0, fmt.Errorf("%s is %q, want point:hit:kill or point:hit:stop", faultEnv, plan)
	}
	return parts[0], parts[2], hit, nil
}

func breakHere(act string) {
	sig := syscall.SIGKILL
	if act == actStop {
		sig = syscall.SIGSTOP
	}
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		panic(errors.Join(errors.New("the process cannot signal itself"), err))
	}
	if act == actKill {
		select {} // the signal is on its way: nothing may happen behind this point
	}
}
