package views

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/security"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// Config says where the tables and the local copies are. Brokers and Dir are required.
type Config struct {
	// Brokers are host:port addresses of the Kafka cluster; one that answers is enough.
	Brokers []string
	// Security protects the connections to the brokers. The default is neither encryption nor authentication.
	Security security.Config
	// Dir is the directory of the local copies, kept between runs. Two processes never share one.
	Dir string
	// MemoryBytes is the memory that all views together take: a half for blocks of files and rows on their way to disk,
	// a quarter for records that are being read, and the rest for the garbage of those records. The default is 256 MiB.
	// With many partitions the views take at least 320 KiB for each. An application in the same process has a budget of
	// its own, which comes on top.
	MemoryBytes int64
	// Logger receives the log. The default discards it.
	Logger *slog.Logger
}

const defaultMemoryBytes = 256 << 20

func (c Config) validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("Brokers is empty: name at least one host:port"))
	}
	if c.Dir == "" {
		errs = append(errs, errors.New("Dir is empty: name a directory for the views"))
	}
	if c.MemoryBytes < 0 {
		errs = append(errs, errors.New("MemoryBytes is negative"))
	}
	if err := c.Security.Validate(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("views configuration: %w", errors.Join(errs...))
	}
	return nil
}

// Views are local copies of the stores of one or several processor groups. Open them, make typed views, then call Run.
// Reads are safe for concurrent use. Reads before Ready see the rows that an earlier run left.
type Views struct {
	logger  *slog.Logger
	client  *broker.Client
	fetcher *broker.Fetcher
	groups  map[string]*groupView
	stores  map[string]*groupView
	ready   chan struct{}
	close   sync.Once
}

// groupView is the copy of one group's table. It has the stores that were given to Open.
type groupView struct {
	group      string
	topic      string
	refs       []state.TableRef
	partitions int32
	engine     state.Engine
	tables     []*viewTable
	specs      map[string]state.Spec
	view       *broker.TableView
	freshness  *freshness
}

// Open opens the views of the stores in tables. It waits, bounded by ctx, until the tables of the groups exist: the
// application creates them when it first runs. If Run is never called, call Close.
func Open(ctx context.Context, cfg Config, tables ...state.TableRef) (_ *Views, err error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	cfg.MemoryBytes = cmp.Or(cfg.MemoryBytes, defaultMemoryBytes)
	vs := &Views{
		logger: cfg.Logger, ready: make(chan struct{}),
		groups: make(map[string]*groupView), stores: make(map[string]*groupView),
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open views: %w", err), vs.Close())
		}
	}()
	if vs.client, err = broker.Connect(ctx, broker.Config{Brokers: cfg.Brokers, Security: cfg.Security, ClientID: "views", Logger: cfg.Logger}); err != nil {
		return nil, err
	}
	groups := make(map[string]*groupView)
	total := 0
	for _, table := range tables {
		g := groups[table.Group]
		if g == nil {
			g = &groupView{group: table.Group, topic: table.Topic, specs: make(map[string]state.Spec)}
			groups[table.Group] = g
			if g.partitions, err = vs.waitForTopic(ctx, g.topic); err != nil {
				return nil, fmt.Errorf("group %s: %w", g.group, err)
			}
			total += int(g.partitions)
		}
		g.refs = append(g.refs, table)
		g.specs[table.Store.Name] = table.Store
	}
	if vs.fetcher, err = broker.NewTableFetcher(vs.client, cfg.MemoryBytes/4); err != nil {
		return nil, err
	}
	memory := pebblestore.NewMemory(cfg.MemoryBytes/2, total)
	defer memory.Close() // the engines keep it open
	for _, g := range groups {
		if err := vs.openGroup(ctx, g, filepath.Join(cfg.Dir, g.group), memory); err != nil {
			return nil, fmt.Errorf("group %s: %w", g.group, err)
		}
		for _, ref := range g.refs {
			vs.stores[ref.Store.Name] = g
		}
	}
	return vs, nil
}

func (vs *Views) openGroup(ctx context.Context, g *groupView, dir string, memory *pebblestore.Memory) error {
	var specs []state.Spec
	for _, ref := range g.refs {
		kept := ref.Store
		kept.TTL = 0 // the task expires rows; a view follows its tombstones and needs no order of expiry
		specs = append(specs, kept)
	}
	layout, err := state.NewLayout(specs...)
	if err != nil {
		return err
	}
	if g.engine, err = pebblestore.Open(dir, pebblestore.Options{Memory: memory, Logger: vs.logger}); err != nil {
		return err
	}
	vs.groups[g.group] = g
	if g.freshness, err = newFreshness(g.partitions, g.refs); err != nil {
		return err
	}
	g.tables = make([]*viewTable, g.partitions)
	var opening errgroup.Group
	opening.SetLimit(maxOpening)
	for p := range g.partitions {
		opening.Go(func() (err error) {
			g.tables[p], err = openViewTable(ctx, g, p, layout, vs.logger)
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	g.view, err = broker.NewTableView(broker.TableViewConfig{
		Client: vs.client, Fetcher: vs.fetcher, Topic: g.topic, Logger: vs.logger,
		Open:    func(p int32) (broker.TableStore, error) { return g.tables[p].copy.Store(p), nil },
		Restart: func(p int32) <-chan struct{} { return g.tables[p].copy.Restart(p) },
	})
	return err
}

// maxOpening bounds how many partitions are opened at the same time. Most of that time they wait for the disk.
const maxOpening = 8

// topicPoll is the pause between two checks whether a table exists.
const topicPoll = 100 * time.Millisecond

func (vs *Views) waitForTopic(ctx context.Context, topic string) (int32, error) {
	for logged := false; ; logged = true {
		n, err := vs.client.Partitions(ctx, topic)
		if err == nil || !errors.Is(err, broker.ErrTopicMissing) {
			return n, err
		}
		if !logged {
			vs.logger.Info("waiting for the application to create its table", slog.String("topic", topic))
		}
		timer := time.NewTimer(topicPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, fmt.Errorf("%w; start the application that writes it", err)
		}
	}
}

// Run fills the views and follows their tables until ctx ends. It then closes them and returns nil. It may be called
// once.
func (vs *Views) Run(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	for _, g := range vs.groups {
		running.Go(func() error { return g.view.Run(ctx) })
	}
	running.Go(func() error {
		for _, g := range vs.groups {
			select {
			case <-g.view.Running():
			case <-ctx.Done():
				return nil
			}
		}
		close(vs.ready)
		return nil
	})
	err := running.Wait()
	if err != nil {
		err = fmt.Errorf("run views: %w", err)
	}
	return errors.Join(err, vs.Close())
}

// Ready returns a channel that is closed once every view has reached the end that its table had when Run began.
func (vs *Views) Ready() <-chan struct{} { return vs.ready }

// Close releases files and connections. Run calls it at its end; it may be called again.
func (vs *Views) Close() error {
	var errs []error
	vs.close.Do(func() {
		if vs.fetcher != nil {
			vs.fetcher.Close()
		}
		for _, g := range vs.groups {
			errs = append(errs, g.engine.Close())
		}
		if vs.client != nil {
			vs.client.Close()
		}
	})
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close views: %w", err)
	}
	return nil
}

// Wait blocks until all views cover the offsets required. If ctx ends first, it returns a *BehindError.
func (vs *Views) Wait(ctx context.Context, required state.Offsets) error {
	for _, g := range vs.groups {
		if err := g.freshness.wait(ctx, required); err != nil {
			return err
		}
	}
	return nil
}

// Position returns the source offsets that every view reflects.
func (vs *Views) Position() state.Offsets {
	var all state.Offsets
	for _, g := range vs.groups {
		position := g.freshness.position()
		if all == nil {
			all = position
			continue
		}
		for tp := range all {
			if other, ok := position[tp]; ok {
				all[tp] = min(all[tp], other)
			} else {
				delete(all, tp)
			}
		}
	}
	return all
}

// Info describes the view of one group for people. It marshals to JSON.
type Info struct {
	Group    string                `json:"group"`
	Topic    string                `json:"topic"`
	Stores   []string              `json:"stores"`
	Position map[string]int64      `json:"position"` // next source offset reflected, by topic/partition
	Damaged  int64                 `json:"damaged"`  // how often a partition was found damaged on disk and read again
	Goka     broker.TableViewStats `json:"goka"`     // goka's own statistics
}

// Info describes the views of all groups, with goka's own statistics.
func (vs *Views) Info(ctx context.Context) []Info {
	var infos []Info
	for _, group := range slices.Sorted(maps.Keys(vs.groups)) {
		g := vs.groups[group]
		info := Info{Group: g.group, Topic: g.topic, Position: make(map[string]int64), Goka: g.view.Stats(ctx)}
		info.Stores = slices.Sorted(maps.Keys(g.specs))
		for _, table := range g.tables {
			info.Damaged += table.copy.Damaged()
		}
		for tp, offset := range g.freshness.position() {
			info.Position[tp.String()] = offset
		}
		infos = append(infos, info)
	}
	return infos
}

// find returns the group of a store and its spec. The store must be of the given kind.
func (vs *Views) find(store string, kind state.Kind) (*groupView, state.Spec, error) {
	g, ok := vs.stores[store]
	if !ok {
		return nil, state.Spec{}, fmt.Errorf("view %q: store was not opened; pass its table to views.Open", store)
	}
	spec := g.specs[store]
	if spec.Kind != kind {
		return nil, state.Spec{}, fmt.Errorf("view %q: store is of kind %v, not %v", store, spec.Kind, kind)
	}
	return g, spec, nil
}
