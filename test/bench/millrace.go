package main

import (
	"context"
	"fmt"
	"io"
	"os"
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

// countWorker is the measured process: it counts the topic and prints what the second half cost.
func countWorker(ctx context.Context, o options, out io.Writer) error {
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
	if o.cpuProfile != "" {
		f, err := os.Create(o.cpuProfile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	cpu, wall := cpuTime(), time.Now()
	if _, err := waitProcessed(ctx, app, int64(o.records)); err != nil {
		return err
	}
	if err := waitCommitted(ctx, brokers, o.topic, int64(o.records)); err != nil {
		return err
	}
	fmt.Fprintf(out, "records=%d cpu_ns=%d wall_ns=%d\n", int64(o.records)-half, cpuTime()-cpu, time.Since(wall))
	cancel()
	return <-done
}

// waitProcessed waits until the application has processed n records and returns how many they are by then.
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
