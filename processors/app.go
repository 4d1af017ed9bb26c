package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/topology"
)

// App runs a topology on this instance, together with all other instances of the same application. Its methods are
// safe for concurrent use.
type App struct {
	top       *topology.Topology
	cfg       Config
	lifecycle lifecycle
	memory    memory
	client    *broker.Client
	admission *admission
	topics    *topicWatch
	requests  *broker.ClientMetrics
	states    *stateClock
	pauses    pauses // by group

	changing sync.Mutex // held while what tasks do becomes the App's state

	mu struct {
		sync.Mutex
		groups  []*group
		globals *globals                // nil before they are opened
		cancel  context.CancelCauseFunc // ends Run
	}
}

// New makes an App of a topology. Nothing is connected before Run.
func New(top *topology.Topology, cfg Config) (*App, error) {
	if top == nil {
		return nil, errors.New("processors: no topology")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	states := &stateClock{since: time.Now()}
	changed := func(from, to State) {
		states.enter(to, time.Now())
		cfg.Logger.Info("application changed its state", slog.String("app", top.Name()),
			slog.String("from", from.String()), slog.String("to", to.String()))
		if hook := cfg.Hooks.StateChanged; hook != nil {
			hook(from, to)
		}
	}
	app := &App{
		top: top, cfg: cfg,
		lifecycle: lifecycle{changed: changed},
		memory:    newMemory(cfg.MemoryBytes),
		requests:  broker.NewClientMetrics(), states: states,
		pauses: make(pauses),
	}
	app.topics = newTopicWatch(app)
	for _, sub := range top.SubTopologies() {
		app.pauses[sub.Group()] = new(atomic.Bool)
	}
	return app, nil
}

// State returns where the App is in its life.
func (a *App) State() State { return a.lifecycle.state() }

// Run runs the application until ctx ends, then commits what is open, leaves the groups and returns nil; or until it
// cannot go on and returns why. Bad topics and unusable directories are reported before anything is processed. It may
// be called once.
func (a *App) Run(ctx context.Context) (err error) {
	if !a.lifecycle.enter(Starting) {
		return fmt.Errorf("run %s: it is %s: an App runs once", a.top.Name(), a.State())
	}
	begun := false
	defer func() {
		if !begun && ctx.Err() != nil {
			err = nil // told to end before it had begun: whatever failed, it failed for that
			a.lifecycle.enter(Draining)
		}
		if err != nil {
			a.lifecycle.enter(Failed)
			err = fmt.Errorf("run %s: %w", a.top.Name(), err)
			return
		}
		a.lifecycle.enter(Closed)
	}()

	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.mu.Lock()
	a.mu.cancel = cancel
	a.mu.Unlock()

	a.client, err = broker.Connect(running, broker.Config{
		Brokers: a.cfg.Brokers, Security: a.cfg.Security, ClientID: a.top.Name(), Rack: a.cfg.Rack,
		Logger: a.cfg.Logger, Metrics: a.requests,
	})
	if err != nil {
		return err
	}
	defer a.client.Close()
	top, err := a.resolve(running)
	if err != nil {
		return err
	}
	sizes, err := sizeTopics(running, top.SubTopologies(), a.client)
	globalPlans, globalErr := planGlobals(running, a.top, a.client)
	if err := errors.Join(err, globalErr); err != nil {
		return err
	}
	if a.admission, err = a.examine(running); err != nil {
		return err
	}
	plans, err := plan(running, top, sizes, a.client, a.cfg.Replication)
	if err != nil {
		return err
	}
	a.memory.divide(plans, len(globalPlans), a.cfg.Logger)
	defer a.memory.close()
	a.cfg.Logger.Info("memory", slog.Any("split", a.memory.split))
	globals, err := openGlobals(context.WithoutCancel(running), a, globalPlans)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, globals.close()) }()
	a.mu.Lock()
	a.mu.globals = globals
	a.mu.Unlock()
	if len(globalPlans) > 0 {
		a.lifecycle.enter(Restoring)
		if err := globals.await(running); err != nil {
			return err
		}
	}
	// Tasks outlive ctx by one commit: they are stopped in order, not cut off.
	tasks, abandon := context.WithCancel(context.WithoutCancel(running))
	defer abandon()
	defer func() { err = errors.Join(err, a.close(abandon)) }()
	for _, p := range plans {
		g, err := openGroup(tasks, a, p)
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.mu.groups = append(a.mu.groups, g)
		a.mu.Unlock()
	}
	a.lifecycle.enter(Rebalancing)
	defer a.startWatch(running)()
	defer a.admission.start(running)()
	for _, g := range a.groups() {
		if err := g.join(); err != nil {
			return err
		}
	}

	defer a.topics.start(running, reading{top: top, sizes: sizes})()

	begun = true
	<-running.Done()
	a.lifecycle.enter(Draining)
	if failure, ok := errors.AsType[*appFailure](context.Cause(running)); ok {
		return failure.err
	}
	return nil
}

// drainTimeout bounds how long Run waits at its end for the brokers to take the last commits. What they do not take in
// time is not lost: the next owner of the tasks reads it again.
const drainTimeout = 30 * time.Second

func (a *App) close(abandon func()) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, abandon)()
	// All groups at once: each waits for others to take over.
	var handovers sync.WaitGroup
	for _, g := range a.groups() {
		handovers.Go(func() { g.handOver(ctx) })
	}
	handovers.Wait()
	var errs []error
	for _, g := range a.groups() {
		errs = append(errs, g.close(ctx))
	}
	return errors.Join(errs...)
}

// appFailure is the cause with which a failing part ends Run.
type appFailure struct{ err error }

func (f *appFailure) Error() string { return f.err.Error() }

// fail ends Run with err.
func (a *App) fail(err error) {
	a.mu.Lock()
	cancel := a.mu.cancel
	a.mu.Unlock()
	cancel(&appFailure{err})
}

// taskChanged recomputes the App's state after something changed about a task.
func (a *App) taskChanged() {
	a.changing.Lock()
	defer a.changing.Unlock()
	state := Running
	for _, g := range a.groups() {
		state = min(state, g.state())
	}
	a.lifecycle.enter(state)
}

func (a *App) groups() []*group {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.groups
}

func (a *App) globals() *globals {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.globals
}
