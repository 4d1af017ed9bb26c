package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state/pebblestore"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// globals are the global tables of this instance: goka views of their topics. They run from openGlobals to close.
type globals struct {
	inst    *instance
	tables  []*globalTable
	fetcher *broker.Fetcher
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// globalPlan is a global table and what the cluster says about its topic.
type globalPlan struct {
	topology.Global

	partitions int32
	id         [16]byte // of the topic
}

// planGlobals asks the cluster about the topics of the global tables. The error names everything that is wrong.
func planGlobals(ctx context.Context, top *topology.Topology, client *broker.Client) ([]globalPlan, error) {
	var plans []globalPlan
	var errs []error
	for _, def := range top.Globals() {
		p := globalPlan{Global: def}
		var err error
		if p.partitions, err = client.Partitions(ctx, def.Topic); err == nil {
			p.id, err = client.TopicID(ctx, def.Topic)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("global table %s: %w", def.Name, err))
		}
		plans = append(plans, p)
	}
	return plans, errors.Join(errs...)
}

// openGlobals opens the copies of the global tables on disk and starts to follow their topics.
func openGlobals(ctx context.Context, inst *instance, plans []globalPlan) (_ *globals, err error) {
	g := &globals{inst: inst}
	ctx, g.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if len(plans) == 0 {
		return g, nil
	}
	if g.fetcher, err = broker.NewTableFetcher(inst.client, inst.memory.tables); err != nil {
		return nil, err
	}
	for _, p := range plans {
		t, err := g.open(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("global table %s: %w", p.Name, err)
		}
		g.running.Go(func() {
			if err := t.view.Run(ctx); err != nil && ctx.Err() == nil {
				inst.fail(fmt.Errorf("global table %s: %w", p.Name, err))
			}
		})
	}
	return g, nil
}

// open opens one table and makes its view. No group has a directory with such a name: names of groups have no dots.
func (g *globals) open(ctx context.Context, p globalPlan) (*globalTable, error) {
	logger := g.inst.cfg.Logger.With(slog.String("global_table", p.Name))
	engine, err := pebblestore.Open(filepath.Join(g.inst.cfg.Dir, fmt.Sprintf("global.%s.%s", g.inst.top.Name(), p.Name)), pebblestore.Options{
		Memory: g.inst.memory.state, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	t, err := openGlobalTable(ctx, p, g.inst.client, engine, logger)
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	g.tables = append(g.tables, t)
	t.view, err = broker.NewTableView(broker.TableViewConfig{
		Client: g.inst.client, Fetcher: g.fetcher, Topic: p.Topic, Foreign: true, Logger: logger,
		Open:    func(partition int32) (broker.TableStore, error) { return t.copy.Store(partition), nil },
		Restart: t.copy.Restart,
	})
	return t, err
}

// await waits until all tables have reached the ends that their topics had when they were opened, and logs their
// progress. If the application fails first, it returns the failure.
func (g *globals) await(ctx context.Context) error {
	ticker := time.NewTicker(restoreLogInterval)
	defer ticker.Stop()
	for _, t := range g.tables {
		began := time.Now()
		for caughtUp := false; !caughtUp; {
			select {
			case <-t.view.Running():
				caughtUp = true
			case <-ticker.C:
				t.logger.Info("restoring", slog.Int64("remaining", t.remaining()), slog.Duration("elapsed", time.Since(began).Round(time.Millisecond)))
			case <-ctx.Done():
				if failure, ok := errors.AsType[*appFailure](context.Cause(ctx)); ok {
					return failure.err
				}
				return ctx.Err()
			}
		}
		t.logger.Info("global table is up to date", slog.Int64("records", t.records.Load()))
	}
	return nil
}

// rows returns the rows of a table for tasks.
func (g *globals) rows(name string) engine.GlobalRows {
	for _, t := range g.tables {
		if t.plan.Name == name {
			return t
		}
	}
	return nil
}

// askEnds asks where the topics end. If the question fails, the ends that were known before stay.
func (g *globals) askEnds(ctx context.Context, interval time.Duration) {
	if len(g.tables) == 0 {
		return
	}
	topics := make([]string, len(g.tables))
	for i, t := range g.tables {
		topics[i] = t.plan.Topic
	}
	ctx, cancel := context.WithTimeout(ctx, max(interval, time.Second))
	defer cancel()
	ends, err := g.inst.client.Ends(ctx, topics...)
	if err != nil {
		g.inst.cfg.Logger.Debug("ends of global tables are not known", slog.Any("error", err))
		return
	}
	for _, t := range g.tables {
		t.recordEnds(ends)
	}
}

// close ends the views and closes the tables. Tasks must not use them any more.
func (g *globals) close() error {
	g.cancel()
	g.running.Wait()
	if g.fetcher != nil {
		g.fetcher.Close()
	}
	var errs []error
	for _, t := range g.tables {
		if err := t.engine.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close global table %s: %w", t.plan.Name, err))
		}
	}
	return errors.Join(errs...)
}
