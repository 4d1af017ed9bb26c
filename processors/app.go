package processors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/topology"
)

// App runs a topology on this instance, together with all other instances of the same application. Its methods are safe
// for concurrent use.
type App struct {
	instance // what its parts use of it

	state    stateMachine
	states   observe.Clock[State]
	requests *broker.ClientMetrics
	topics   *topicWatch

	changing sync.Mutex // held while the App's state is recomputed from its tasks

	mu struct {
		sync.Mutex
		groups  []*group
		globals *globals                // nil before they are opened
		cancel  context.CancelCauseFunc // ends Run
	}
}

// New makes an App of a topology. It connects nothing; Run does.
func New(top *topology.Topology, cfg Config) (*App, error) {
	if top == nil {
		return nil, errors.New("processors: no topology")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	app := &App{requests: broker.NewClientMetrics()}
	app.topics = newTopicWatch(&app.instance, app.replan)
	app.state.changed = app.stateChanged
	app.states.Enter(Created, time.Now())
	app.instance = instance{
		top: top, cfg: cfg, memory: newMemory(cfg.MemoryBytes), pauses: newPauses(top),
		fail: app.end, taskChanged: app.updateState, lookForTopics: app.topics.lookSoon,
	}
	return app, nil
}

// stateChanged reports a change of the App's state.
func (a *App) stateChanged(from, to State) {
	a.states.Enter(to, time.Now())
	a.cfg.Logger.Info("application changed its state", slog.String("app", a.top.Name()),
		slog.String("from", from.String()), slog.String("to", to.String()))
	if hook := a.cfg.Hooks.StateChanged; hook != nil {
		hook(from, to)
	}
}

// State returns the present state of the App.
func (a *App) State() State { return a.state.current() }

// Run runs the application until ctx ends, then commits what is open, leaves the groups and returns nil. If the
// application cannot go on, Run ends it and returns why. Bad topics and unusable directories are reported before
// anything is processed. Run may be called once.
func (a *App) Run(ctx context.Context) (err error) {
	if !a.state.enter(Starting) {
		return fmt.Errorf("run %s: it is %s: an App runs once", a.top.Name(), a.State())
	}
	begun := false
	defer func() {
		if !begun && ctx.Err() != nil {
			err = nil // it was told to end before it had begun: any error comes from that
			a.state.enter(Draining)
		}
		if err != nil {
			a.state.enter(Failed)
			err = fmt.Errorf("run %s: %w", a.top.Name(), err)
			return
		}
		a.state.enter(Closed)
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
	top, err := resolve(running, &a.instance)
	if err != nil {
		return err
	}
	sizes, err := sizeTopics(running, top.SubTopologies(), a.client)
	globalPlans, globalErr := planGlobals(running, a.top, a.client)
	if err := errors.Join(err, globalErr); err != nil {
		return err
	}
	if a.admission, err = openAdmission(running, &a.instance); err != nil {
		return err
	}
	plans, err := createPlans(running, top, sizes, a.client, a.cfg.Replication)
	if err != nil {
		return err
	}
	a.memory.divide(plans, len(globalPlans), a.cfg.Logger)
	defer a.memory.close()
	a.cfg.Logger.Info("memory", slog.Any("split", a.memory.split))
	globals, err := openGlobals(context.WithoutCancel(running), &a.instance, globalPlans)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, globals.close()) }()
	a.mu.Lock()
	a.mu.globals = globals
	a.mu.Unlock()
	a.globalRows = globals.rows
	if len(globalPlans) > 0 {
		a.state.enter(Restoring)
		if err := globals.await(running); err != nil {
			return err
		}
	}
	// Tasks outlive ctx by one commit: they are stopped in order, not cut off.
	tasks, abandon := context.WithCancel(context.WithoutCancel(running))
	defer abandon()
	defer func() { err = errors.Join(err, a.close(abandon)) }()
	for _, p := range plans {
		g, err := openGroup(tasks, &a.instance, p)
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.mu.groups = append(a.mu.groups, g)
		a.mu.Unlock()
	}
	a.state.enter(Rebalancing)
	defer a.startWatch(running)()
	defer a.admission.start(running)()
	for _, g := range a.groups() {
		if err := g.join(); err != nil {
			return err
		}
	}

	defer a.topics.start(running, subscription{top: top, sizes: sizes})()

	begun = true
	<-running.Done()
	a.state.enter(Draining)
	if failure, ok := errors.AsType[*appFailure](context.Cause(running)); ok {
		return failure.err
	}
	return nil
}

// drainTimeout bounds how long Run waits at its end for the brokers to take the last commits. Records whose commit they
// do not take in time are not lost: the next owner of the tasks reads them again.
const drainTimeout = 30 * time.Second

// close hands the tasks over to other instances and closes all groups. abandon cuts off the tasks that take too long.
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

// end ends Run with err.
func (a *App) end(err error) {
	a.mu.Lock()
	cancel := a.mu.cancel
	a.mu.Unlock()
	cancel(&appFailure{err})
}

// updateState recomputes the App's state after a task has changed its own.
func (a *App) updateState() {
	a.changing.Lock()
	defer a.changing.Unlock()
	state := Running
	for _, g := range a.groups() {
		state = min(state, g.state())
	}
	a.state.enter(state)
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
