//go:build unix

// Command crash breaks a running application in every way we know and then checks that every record counted exactly
// once.
//
//	go run ./test/crash --seed 1 --duration 60s --instances 3 --broker embedded
//
// It is an orchestrator with real processes below it: workers, each an instance of one application with its views, and,
// unless it is given a running Kafka, a broker.
//
//	orchestrator ──┬── producer ──────────────────────────────▶ broker ◀── checker, at the end
//	               ├── worker 0 ─┐                                ▲
//	               ├── worker 1 ─┼──▶ proxy, which loses answers ─┘
//	               └── worker 2 ─┘
//
// While records are produced without a pause it kills workers (SIGKILL), stops them for shorter and longer than the
// session timeout (SIGSTOP), has them leave (SIGTERM) and join, so that standbys are promoted and tasks move warm,
// kills or stops them at a chosen place of the commit protocol, loses the broker's answers to EndTxn, and kills the
// broker. Then it waits until everything is processed and compares the result with the truth, which it computes from
// the records it produced, without any code of the runtime:
//
//   - every output topic, read_committed: each update forwarded once and in order, no gaps, no duplicates
//   - the tables: the last committed value of each key in the changelogs
//   - views: a new one, and the ones that ran in the workers and died with them
//   - the state on the disk of each worker: exactly a committed prefix of the changelog, never ahead of it
//
// The last line is "kills=… stalls=… commits=… keys=… wrong=0"; the exit code is 1 if anything is wrong. With
// --no-fence every owner of a task gets a transactional id of its own, so that no owner fences another: the check must
// then fail. With --at-least-once the application runs without transactions: a record may then count twice, but none
// may be missing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the command line of the orchestrator.
type options struct {
	seed           int64
	duration       time.Duration
	faults         int
	instances      int
	standbys       int
	static         int
	broker         string
	noFence        bool
	atLeastOnce    bool
	rate           int
	sessionTimeout time.Duration
	settle         time.Duration
	brokerKill     string
	brokerStart    string
	dir            string
}

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command runs the orchestrator or one of its processes and returns the exit code.
func command(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, args, out, errOut)
	if err == nil {
		return 0
	}
	if !errors.Is(err, flag.ErrHelp) && !errors.Is(err, errWrong) {
		fmt.Fprintln(errOut, "crash:", err)
	}
	return 1
}

func dispatch(ctx context.Context, args []string, out, errOut io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case workerCommand:
			return runWorker(ctx, args[1:], out, errOut)
		case brokerCommand:
			return runBroker(ctx, args[1:], out, errOut)
		}
	}
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	return orchestrate(ctx, o, out)
}

func parse(args []string, errOut io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Int64Var(&o.seed, "seed", 1, "seed of the random faults and their times")
	flags.DurationVar(&o.duration, "duration", time.Minute, "how long to break things")
	flags.IntVar(&o.faults, "faults", 0, "stop after this number of kills and stalls; 0: when the duration is over")
	flags.IntVar(&o.instances, "instances", 3, "number of worker processes")
	flags.IntVar(&o.standbys, "standbys", 1, "copies of each task's state that are kept warm")
	flags.IntVar(&o.static, "static", 1, "how many of the instances are static members")
	flags.StringVar(&o.broker, "broker", embeddedBroker, `"embedded", or host:port of a running Apache Kafka`)
	flags.BoolVar(&o.noFence, "no-fence", false, "negative control: take the fence away; the run must then fail")
	flags.BoolVar(&o.atLeastOnce, "at-least-once", false, "run without transactions: records may count more than once, but none may be lost")
	flags.IntVar(&o.rate, "rate", 1000, "events produced in a second")
	flags.DurationVar(&o.sessionTimeout, "session-timeout", 1500*time.Millisecond, "session timeout of the workers")
	flags.DurationVar(&o.settle, "settle", 2*time.Minute, "how long the workers may take to catch up at the end")
	flags.StringVar(&o.brokerKill, "broker-kill-cmd", "", "shell command that kills the broker given by --broker")
	flags.StringVar(&o.brokerStart, "broker-start-cmd", "", "shell command that starts it again and waits until it serves")
	flags.StringVar(&o.dir, "dir", "", "directory for logs and state; default: a temporary one, removed if nothing is wrong")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.instances < 1:
		return o, errors.New("--instances must be at least 1")
	case o.standbys < 0:
		return o, errors.New("--standbys must not be negative")
	case o.static < 0 || o.static > o.instances:
		return o, errors.New("--static must be between 0 and the number of instances")
	case o.noFence && o.atLeastOnce:
		return o, errors.New("--no-fence takes away the fence of transactions, which --at-least-once does not have")
	case o.rate < 1:
		return o, errors.New("--rate must be at least 1")
	case (o.brokerKill == "") != (o.brokerStart == ""):
		return o, errors.New("--broker-kill-cmd and --broker-start-cmd go together")
	case o.broker == embeddedBroker && o.brokerKill != "":
		return o, errors.New("--broker-kill-cmd is for a broker given by --broker; the embedded one is killed anyway")
	}
	return o, nil
}
