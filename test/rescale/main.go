//go:build unix

// Command rescale measures how long tasks stand still while their group changes, on a real broker that is running
// already, and checks that every record still counted once.
//
//	go run ./test/rescale --brokers 127.0.0.1:19092
//
// It loads a topic with a million keys, has one instance count them, and then, with records coming in all the time:
// scales from one instance to four, kills one of them, scales down to two and to one, and kills that one and starts it
// again on its disk. Instances are real processes.
//
// It measures what a reader of committed records sees: the time between two commits of a task, which is the commit
// interval (100 ms) when nothing happens. So each time includes one commit interval and, after a kill, the session
// timeout; both are subtracted.
//
// The last line is "stay=…ms move=…ms standby=…ms tail=R/N wrong=W": the longest gap of a task that did not move while
// others did, of a task that moved, and after the kill of an instance whose tasks had standbys, all after the
// subtraction; how many of N changelog records were restored after a kill without a standby; and how many keys are
// wrong. The exit code is 1 if any are.
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

// options are the command line.
type options struct {
	brokers        string
	keys           int
	rate           int
	partitions     int
	sessionTimeout time.Duration
	settle         time.Duration
	dir            string
}

var errWrong = errors.New("something is wrong")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) && !errors.Is(err, errWrong) {
			fmt.Fprintln(os.Stderr, "rescale:", err)
		}
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string, out, errOut io.Writer) error {
	if len(args) > 0 && args[0] == workerCommand {
		return runWorker(ctx, args[1:], out, errOut)
	}
	var o options
	flags := flag.NewFlagSet("rescale", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.brokers, "brokers", "", "host:port of a running Apache Kafka (required)")
	flags.IntVar(&o.keys, "keys", 1_000_000, "different keys")
	flags.IntVar(&o.rate, "rate", 2000, "records a second while things happen")
	flags.IntVar(&o.partitions, "partitions", 8, "partitions of the topic, and so tasks")
	flags.DurationVar(&o.sessionTimeout, "session-timeout", 2*time.Second, "session timeout of the instances")
	flags.DurationVar(&o.settle, "settle", 5*time.Second, "how long to watch after each change is complete")
	flags.StringVar(&o.dir, "dir", "", "directory for logs and state; default: a temporary one, removed if nothing is wrong")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.brokers == "":
		return errors.New("--brokers is missing: start a broker (make kafka-start) and name its address")
	case o.keys < 1 || o.rate < 100 || o.partitions < 4:
		return errors.New("want --keys of at least 1, --rate of at least 100 and --partitions of at least 4")
	}
	return measure(ctx, o, out)
}
