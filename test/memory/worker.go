//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync/atomic"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// storeName is the store of the latest values.
const storeName = "latest"

// The value of a key: how often it was written, and its last value.
const (
	counterSize = 4
	valueSize   = 100
)

// application keeps the latest value of each key.
func application(name string) (*topology.Topology, error) {
	b := topology.NewBuilder(name)
	topology.Source(b, name, codecs.Bytes, codecs.Bytes).GroupByKey().Aggregate(storeName,
		func() []byte { return nil },
		func(_, value, latest []byte) []byte {
			next := make([]byte, counterSize, valueSize)
			if len(latest) > 0 {
				copy(next, latest[:counterSize])
			}
			binary.BigEndian.PutUint32(next, binary.BigEndian.Uint32(next)+1)
			return append(next, value...)
		}, codecs.Bytes)
	return b.Build()
}

// work is the measured process.
func work(ctx context.Context, o options, out io.Writer) error {
	top, err := application(o.topic)
	if err != nil {
		return err
	}
	var running atomic.Bool
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	app, err := processors.New(top, processors.Config{
		Brokers: strings.Split(o.brokers, ","), Dir: o.dir, Replication: 1, MemoryBytes: o.budget << 20,
		Logger: logger,
		Hooks: processors.Hooks{
			StateChanged: func(_, to processors.State) {
				if to == processors.Running && running.CompareAndSwap(false, true) {
					fmt.Fprintln(out, "running")
				}
			},
		},
	})
	if err != nil {
		return err
	}
	if o.limit {
		debug.SetMemoryLimit(app.Memory().HeapLimit())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // the orchestrator closes the input when it wants the process to end
		_, _ = io.Copy(io.Discard, os.Stdin)
		if o.profile != "" {
			if err := writeProfile(o.profile); err != nil {
				logger.Error("heap profile", slog.Any("error", err))
			}
		}
		cancel()
	}()
	return app.Run(ctx)
}

func writeProfile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	runtime.GC()
	return pprof.WriteHeapProfile(f)
}
