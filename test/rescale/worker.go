//go:build unix

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/test/process"
	"github.com/seed84377926/millrace/topology"
)

// workerCommand is the hidden subcommand that runs an instance.
const workerCommand = "worker"

// The messages of an instance, one in each line.
const (
	saysOwns = "owns" // partition start end records: it has taken the task over
	saysWarm = "warm" // copies that are kept and have caught up
)

const storeName = "counts"

// application counts the records of each key.
func application(topic string) (*topology.Topology, error) {
	b := topology.NewBuilder(topic)
	topology.Source(b, topic, codecs.Bytes, codecs.Bytes).GroupByKey().Count(storeName)
	return b.Build()
}

func runWorker(ctx context.Context, args []string, out, errOut io.Writer) error {
	var brokers, topic, dir string
	var standbys int
	var sessionTimeout time.Duration
	flags := flag.NewFlagSet(workerCommand, flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&brokers, "brokers", "", "addresses of the brokers")
	flags.StringVar(&topic, "topic", "", "what to count")
	flags.StringVar(&dir, "dir", "", "directory of the state")
	flags.IntVar(&standbys, "standbys", 0, "copies of each task's state")
	flags.DurationVar(&sessionTimeout, "session-timeout", 0, "session timeout")
	if err := flags.Parse(args); err != nil {
		return err
	}
	top, err := application(topic)
	if err != nil {
		return err
	}
	app, err := processors.New(top, processors.Config{
		Brokers: strings.Split(brokers, ","), Dir: dir, Logger: slog.New(slog.NewTextHandler(errOut, nil)),
		Replication: 1, Address: filepath.Base(dir), SessionTimeout: sessionTimeout, Standbys: standbys,
		Hooks: processors.Hooks{RestoreProgress: func(p processors.RestoreProgress) {
			if p.Done {
				fmt.Fprintln(out, saysOwns, p.Partition, p.Start, p.End, p.Records)
			}
		}},
	})
	if err != nil {
		return err
	}
	ctx, cancel := process.WithParent(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
			fmt.Fprintln(out, saysWarm, warm(ctx, app))
		}
	}
}

// warm returns the number of copies that could take over at once.
func warm(ctx context.Context, app *processors.App) (n int) {
	for _, g := range app.Info(ctx).Groups {
		for _, s := range g.Standbys {
			if s.CaughtUp && !s.Warmup {
				n++
			}
		}
	}
	return n
}
