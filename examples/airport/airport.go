package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/edge"
	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// airport holds everything that runs in this process.
type airport struct {
	options
	dir     string
	brokers []string
	logger  *slog.Logger
	top     *topology.Topology
	app     *processors.App
	server  *edge.Server
}

// run opens the airport and loads January. It returns when ctx ends or, with --once, when the load is done.
func run(ctx context.Context, o options) (err error) {
	a := &airport{options: o, brokers: o.brokers}
	a.logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel}))
	var removeData func() error
	if a.dir, removeData, err = o.openData(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeData()) }()

	if len(a.brokers) == 0 {
		broker, err := embedded.Start(ctx, embedded.Config{
			Dir: filepath.Join(a.dir, "broker"), Logger: a.logger,
			NoSync: true, // acknowledged records survive kill -9; after a power cut, load them again
		})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, broker.Close()) }()
		a.brokers = broker.Addrs()
	}
	if err := publishTables(ctx, a.brokers, a.logger); err != nil {
		return err
	}
	if a.top, err = newTopology(); err != nil {
		return err
	}
	if a.app, err = processors.New(a.top, processors.Config{
		Brokers: a.brokers, Dir: filepath.Join(a.dir, "state"), Logger: a.logger,
	}); err != nil {
		return err
	}
	metrics := prometheus.NewRegistry() // one /metrics for the edge and the processors
	if err := metrics.Register(a.app.Collector()); err != nil {
		return err
	}
	if a.server, err = edge.New(ctx, edge.Config{
		Name: "airport", Listen: a.listen, Brokers: a.brokers, Dir: filepath.Join(a.dir, "edge"), Logger: a.logger, Registry: metrics,
	}); err != nil {
		return explainAddress(err)
	}
	defer a.server.Close()

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.app.Run(ctx) })
	group.Go(func() error { return a.serve(ctx) })
	group.Go(func() error {
		if a.once {
			defer stop()
		}
		return a.load(ctx)
	})
	return group.Wait()
}

// explainAddress adds the name of the flag to the error if the server cannot listen.
func explainAddress(err error) error {
	if network, ok := errors.AsType[*net.OpError](err); ok && network.Op == "listen" {
		return fmt.Errorf("%w (here: --listen)", err)
	}
	return err
}

// serve answers commands and queries until ctx ends.
func (a *airport) serve(ctx context.Context) error {
	vs, err := views.Open(ctx, views.Config{
		Brokers: a.brokers, Dir: filepath.Join(a.dir, "views"), Logger: a.logger,
	}, a.top.Tables()...)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return vs.Run(ctx) })
	a.server.Aggregate(newFlightAggregate(), edge.AggregateOptions{
		Path: "/v1/flights/{id}", Topic: eventsTopic, Partitions: partitions,
		ValidID: func(id string) error { _, err := ParseFlightID(id); return err },
	})
	if err := addQueries(a.server, vs); err != nil {
		return err
	}
	a.server.Debug("processors", func() any { return a.app.Info(ctx) })
	a.server.Debug("topology", func() any { return a.top.Description() })
	a.server.Debug("views", func() any { return vs.Info(ctx) })
	group.Go(func() error { return a.server.Run(ctx) })
	return group.Wait()
}

// load posts January to the airport's own edge and then prints a summary of its queries.
func (a *airport) load(ctx context.Context) error {
	flights, err := readFlights()
	if err != nil {
		return err
	}
	flights = firstDays(flights, a.limitDays)
	commands, err := commandsOf(flights)
	if err != nil {
		return err
	}
	address := a.server.Addr().String()
	client := newClient(address, defaultInFlight)
	defer client.Close()
	if err := client.Get(ctx, "/readyz", nil, nil, new(any)); err != nil {
		return a.interrupted(ctx, err)
	}
	if !a.once {
		fmt.Printf("the airport is open: http://%s/v1/routes, data in %s, Ctrl-C stops\n", address, a.dir)
	}
	loader := &Loader{
		Client: client, Commands: commands, Logger: a.logger,
		Checkpoint: &Checkpoint{path: filepath.Join(a.dir, "loaded.json")},
		Progress:   newProgress(os.Stderr, len(commands)),
	}
	started := time.Now()
	report, err := loader.Load(ctx)
	if err != nil {
		return a.interrupted(ctx, err)
	}
	if err := awaitViews(ctx, client, report.Token); err != nil {
		return a.interrupted(ctx, err)
	}
	elapsed := time.Since(started)
	summary, err := summarize(ctx, client, flights, report.Token)
	if err != nil {
		return a.interrupted(ctx, err)
	}
	summary.addSpeed(report, elapsed, a.recordsProcessed(ctx))
	err = summary.print(os.Stdout)
	if a.summary != "" {
		err = errors.Join(err, summary.write(a.summary))
	}
	return errors.Join(err, summary.check(countsOf(commands)))
}

// interrupted returns nil if the user stopped an airport that stays open, and err otherwise.
func (a *airport) interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && !a.once {
		return nil
	}
	return err
}

// recordsProcessed returns the number of input records that all tasks have processed since the start.
func (a *airport) recordsProcessed(ctx context.Context) int64 {
	var n int64
	for _, group := range a.app.Info(ctx).Groups {
		for _, task := range group.Tasks {
			n += task.Processed
		}
	}
	return n
}
