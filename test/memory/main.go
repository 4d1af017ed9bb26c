//go:build linux

// Command memory shows that an instance stays within its memory budget while its state is many times larger, on a real
// broker that is running already:
//
//	go run ./test/memory --brokers 127.0.0.1:19092
//
// A separate process keeps the last value of each key, 100 bytes that do not compress, and how often the key was
// written, exactly once. While records are produced as fast as the broker takes them, first each key once and then
// random ones, its resident memory is sampled from /proc. Then the table is read and every key is compared with what
// was produced. With --restore the process is killed half-way, its disk is wiped, and it restores its state.
//
// The last line is "rss peak=… budget=… ratio=…", in MiB; the peak is VmHWM. The exit code is 1 if the peak is more
// than the budget and a quarter, or if a key is wrong.
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
	brokers    string
	keys       int
	updates    int
	partitions int
	budget     int64 // MiB
	timeout    time.Duration
	restore    bool
	limit      bool
	profile    string
	dir        string

	worker bool
	topic  string
}

// tolerated is how much of the budget the process may take.
const tolerated = 1.25

func main() { os.Exit(command(os.Args[1:], os.Stdout, os.Stderr)) }

// command runs the program and returns the exit code.
func command(args []string, out, errOut io.Writer) int {
	var o options
	flags := flag.NewFlagSet("memory", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.brokers, "brokers", "", "host:port of a running Apache Kafka (required)")
	flags.IntVar(&o.keys, "keys", 10_000_000, "different keys, each with a value of 100 bytes")
	flags.IntVar(&o.updates, "updates", -1, "records for random keys, after each key was written once (default: a fifth of --keys)")
	flags.IntVar(&o.partitions, "partitions", 4, "partitions of the topic")
	flags.Int64Var(&o.budget, "budget", 512, "memory budget of the instance, in MiB")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "give up after this time")
	flags.BoolVar(&o.restore, "restore", false, "kill the process half-way, wipe its disk and let it restore")
	flags.BoolVar(&o.limit, "limit", true, "set Go's memory limit as MemorySplit.HeapLimit says")
	flags.StringVar(&o.profile, "heapprofile", "", "write a heap profile of the process to this file at the end of the load")
	flags.StringVar(&o.dir, "dir", "", "directory of the state (default: a temporary one)")
	flags.BoolVar(&o.worker, "worker", false, "internal: run as the process that is measured")
	flags.StringVar(&o.topic, "topic", "", "internal: the topic of the worker")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if o.updates < 0 {
		o.updates = o.keys / 5
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	run := orchestrate
	if o.worker {
		run = work
	}
	if err := run(ctx, o, out); err != nil {
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = fmt.Errorf("not done within %v: %w", o.timeout, err)
		}
		fmt.Fprintln(errOut, "memory:", err)
		return 1
	}
	return 0
}
