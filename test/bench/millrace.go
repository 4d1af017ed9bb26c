package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// countWorker is the measured process: it counts the topic and prints the cost of the second half.
func countWorker(ctx context.Context, o options, out io.Writer) (err error) {
	if o.memProfile != "" {
		runtime.MemProfileRate = 8 << 10
	}
	b := topology.NewBuilder(o.topic)
	topology.Source(b, o.topic, codecs.Bytes, codecs.Bytes).GroupByKey().Count("counts")
	top, err := b.Build()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "millrace-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	brokers := strings.Split(o.brokers, ",")
	app, err := processors.New(top, processors.Config{Brokers: brokers, Dir: dir, Replication: 1})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()

	half, err := waitProcessed(ctx, app, int64(o.records)/2)
	if err != nil {
		return err
	}
	stopProfiles, err := startProfiles(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopProfiles()) }()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, wall := cpuTime(), time.Now()
	if _, err := waitProcessed(ctx, app, int64(o.records)); err != nil {
		return err
	}
	if err := waitCommitted(ctx, brokers, o.topic, int64(o.records)); err != nil {
		return err
	}
	spent, took := cpuTime()-cpu, time.Since(wall)
	runtime.ReadMemStats(&after)
	fmt.Fprintf(out, "records=%d cpu_ns=%d wall_ns=%d allocs=%d\n", int64(o.records)-half, spent, took, after.Mallocs-before.Mallocs)
	cancel()
	return <-done
}

// startProfiles starts the profiles that the options name. The returned function writes and ends them.
func startProfiles(o options) (stop func() error, err error) {
	var cpu, before *os.File
	if o.cpuProfile != "" {
		if cpu, err = os.Create(o.cpuProfile); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(cpu); err != nil {
			return nil, errors.Join(err, cpu.Close())
		}
	}
	if o.memProfile != "" {
		// Earlier allocations go to a separate file, to be subtracted with "go tool pprof -base".
		if before, err = os.Create(o.memProfile + ".before"); err == nil {
			err = errors.Join(pprof.Lookup("allocs").WriteTo(before, 0), before.Close())
		}
		if err != nil {
			return nil, err
		}
	}
	return func() error {
		var errs []error
		if cpu != nil {
			pprof.StopCPUProfile()
			errs = append(errs, cpu.Close())
		}
		if o.memProfile != "" {
			f, err := os.Create(o.memProfile)
			if err == nil {
				err = errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}, nil
}

// waitProcessed waits until the application has processed n records and returns how many it has processed by then.
func waitProcessed(ctx context.Context, app *processors.App, n int64) (int64, error) {
	for {
		if processed := app.Processed(); processed >= n {
			return processed, nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// waitCommitted waits until the group has committed n records.
func waitCommitted(ctx context.Context, brokers []string, topic string, n int64) error {
	kafka, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return err
	}
	defer kafka.Close()
	admin := kadm.NewClient(kafka)
	for {
		offsets, err := admin.FetchOffsets(ctx, topic+"-counts")
		if err != nil {
			return err
		}
		var committed int64
		offsets.Each(func(o kadm.OffsetResponse) { committed += o.At })
		if committed >= n {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// cpuTime returns the CPU time, user and system, that this process has taken.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err) // cannot fail for RUSAGE_SELF
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
