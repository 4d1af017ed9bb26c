package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// ownerBackoff is how long an owner waits after a failed takeover.
const ownerBackoff = 200 * time.Millisecond

// Server is an edge: it serves aggregate types and queries over HTTP. Make one with [New], register everything, then
// call Run once. Registration belongs to one goroutine and ends with the call of Run.
type Server struct {
	config   Config
	log      *slog.Logger
	metrics  *metrics
	clock    func() time.Time
	listener net.Listener
	client   *broker.Client // nil without brokers
	signer   *signer

	served   []*served
	queries  []*query
	checks   []check
	debugs   map[string]func() any
	problems []error // mistakes in the registration

	started  atomic.Bool
	draining atomic.Bool
	closing  sync.Once
}

// New makes a server: it takes the address and the directory, and connects to the brokers if there are any. ctx bounds
// that, not the life of the server. Run closes what New opened; a server that is never run must be closed with Close.
func New(ctx context.Context, config Config) (_ *Server, err error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		config: config, log: config.Logger, metrics: newMetrics(), clock: time.Now,
		debugs: make(map[string]func() any),
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := os.MkdirAll(config.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("edge: Config.Dir: %w", err)
	}
	if s.signer, err = newSigner(config); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	if s.listener, err = lc.Listen(ctx, "tcp", config.Listen); err != nil {
		return nil, fmt.Errorf("edge: listen on %s: %w; stop what uses the address or set Config.Listen", config.Listen, err)
	}
	if len(config.Brokers) > 0 {
		s.client, err = broker.Connect(ctx, broker.Config{Brokers: config.Brokers, Security: config.Security, ClientID: config.Name + "-edge", Logger: config.Logger})
		if err != nil {
			return nil, fmt.Errorf("edge: %w", err)
		}
	}
	return s, nil
}

// Addr returns the address the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Aggregate serves an aggregate type: its commands at POST {Path}/commands/{command}. Mistakes are reported by Run.
func (s *Server) Aggregate(typ aggregates.Type, options AggregateOptions) {
	for _, err := range []error{typ.Validate(), options.validate()} {
		if err != nil {
			s.fault(fmt.Errorf("aggregate %q: %w", typ.Name(), err))
		}
	}
	for _, other := range s.served {
		if other.typ.Name() == typ.Name() {
			s.fault(fmt.Errorf("aggregate %q is served twice", typ.Name()))
		}
	}
	if s.client == nil {
		s.fault(fmt.Errorf("aggregate %q needs a broker; set Config.Brokers", typ.Name()))
	}
	s.served = append(s.served, &served{typ: typ, options: options})
}

// Check adds a condition to /readyz: the server is ready while check returns nil. It is called with each request for
// /readyz, possibly at the same time, and must be quick.
func (s *Server) Check(name string, ready func(context.Context) error) {
	s.checks = append(s.checks, check{name, ready})
}

// Debug shows what report returns, as JSON, under name in /debug/state. It is called with each request, possibly at
// the same time.
func (s *Server) Debug(name string, report func() any) {
	if _, taken := s.debugs[name]; taken {
		s.fault(fmt.Errorf("debug report %q is registered twice", name))
	}
	s.debugs[name] = report
}

// fault keeps a mistake of the caller's caller, with its place.
func (s *Server) fault(err error) {
	if _, file, line, ok := runtime.Caller(2); ok {
		err = fmt.Errorf("%s:%d: %w", file, line, err)
	}
	s.problems = append(s.problems, err)
}

// Run serves until ctx ends, then drains: /readyz says no, no connection is accepted any more, requests under way get
// their answers, the owners finish what they have and close their writers. It returns nil after an orderly end, also
// if requests had to be cut off when the drain timeout was over. Mistakes in the registration are returned at once, and
// so are topics that are not what they must be.
func (s *Server) Run(ctx context.Context) error {
	if s.started.Swap(true) {
		return errors.New("edge: Run was called twice, or after Close; make a new server")
	}
	defer s.release()
	handler, err := s.handler()
	if err != nil {
		return err
	}
	// The owners outlive ctx: what they have begun they finish while the server drains.
	ownersCtx, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	closeOwners, err := s.startOwners(ctx, ownersCtx)
	if err != nil {
		return err
	}
	defer closeOwners()
	if err := s.metrics.register(s); err != nil {
		return err
	}

	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: s.config.ReadHeaderTimeout,
		ReadTimeout:       s.config.ReadTimeout,
		IdleTimeout:       s.config.IdleTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	s.log.Info("edge serves", slog.String("name", s.config.Name), slog.String("address", s.Addr().String()))
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("edge: serve on %s: %w", s.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-groupCtx.Done()
		s.drain(ctx, server, abort)
		return nil
	})
	return group.Wait()
}

// drain ends the server in order.
func (s *Server) drain(ctx context.Context, server *http.Server, abort context.CancelFunc) {
	s.draining.Store(true)
	s.log.Info("edge drains")
	ctx = context.WithoutCancel(ctx)
	if s.config.DrainDelay > 0 {
		_ = wait(ctx, s.config.DrainDelay) // cannot end early
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		s.log.Warn("requests are cut off: the drain timeout is over", slog.Duration("timeout", s.config.DrainTimeout))
		_ = server.Close() // they are cut off either way
		abort()
	}
	for _, v := range s.served {
		v.owners.stop()
	}
	for _, v := range s.served {
		if !v.owners.wait(ctx) {
			abort()
		}
	}
}

// startOwners prepares the topics and the stores of all aggregate types and starts their owners. The function returned
// stops them, waits for them, and closes the stores.
func (s *Server) startOwners(ctx, ownersCtx context.Context) (func(), error) {
	if len(s.served) == 0 {
		return func() {}, nil
	}
	var specs []broker.TopicSpec
	for _, v := range s.served {
		specs = append(specs,
			broker.TopicSpec{Name: v.options.Topic, Partitions: v.options.Partitions, Kind: broker.EventLog, Replication: v.options.Replication},
			broker.TopicSpec{Name: s.group(v) + "-state", Partitions: v.options.Partitions, Kind: broker.Changelog, Replication: v.options.Replication},
			broker.TopicSpec{Name: s.group(v) + "-owners", Partitions: v.options.Partitions, Kind: broker.Changelog, Replication: v.options.Replication})
	}
	if err := s.client.EnsureTopics(ctx, specs...); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}

	var engines []state.Engine
	stop := func() {
		for _, v := range s.served {
			if v.owners != nil {
				v.owners.stop()
			}
		}
		for _, v := range s.served {
			if v.owners != nil {
				v.owners.wait(context.WithoutCancel(ctx))
			}
		}
		for _, engine := range engines {
			if err := engine.Close(); err != nil {
				s.log.Error("closing the local state failed; it will be rebuilt from where it is", slog.Any("error", err))
			}
		}
	}
	me := claim{Instance: newID(), Address: s.Addr().String(), Since: s.clock().UTC().Truncate(time.Millisecond)}
	partitions := 0
	for _, v := range s.served {
		partitions += int(v.options.Partitions)
	}
	memory := pebblestore.NewMemory(s.config.MemoryBytes, partitions)
	defer memory.Close() // the engines hold it
	for _, v := range s.served {
		engine, err := s.openEngine(v.typ.Name(), memory)
		if err != nil {
			stop()
			return nil, err
		}
		engines = append(engines, engine)
		v.owners = newOwners(s.ownerConfig(v, me), v.options.Partitions,
			kafkaLedgers(s.client, s.group(v), me.Instance), engine)
		v.owners.assign(ownersCtx, v.owners.everyPartition())
	}
	return stop, nil
}

// group begins the names of all that belongs to the owners of an aggregate type.
func (s *Server) group(v *served) string { return s.config.Name + "-" + v.typ.Name() }

func (s *Server) ownerConfig(v *served, me claim) ownerConfig {
	return ownerConfig{
		typ: v.typ, topic: v.options.Topic, changelog: s.group(v) + "-state", source: "/" + s.config.Name + "/" + v.typ.Name(), claim: me,
		maxBatch: s.config.MaxBatch, linger: s.config.Linger, queueDepth: s.config.QueueDepth,
		commitTimeout: s.config.CommitTimeout, window: s.config.IdempotencyWindow,
		backoff: ownerBackoff, clock: s.clock, log: s.log, metrics: s.metrics,
	}
}

// openEngine opens the local state of an aggregate type.
func (s *Server) openEngine(name string, memory *pebblestore.Memory) (state.Engine, error) {
	engine, err := pebblestore.Open(filepath.Join(s.config.Dir, name), pebblestore.Options{Memory: memory, Logger: s.log})
	if err != nil {
		return nil, fmt.Errorf("edge: state of aggregate %q: %w", name, err)
	}
	return engine, nil
}

// Close releases what New opened, if Run was never called. Otherwise it does nothing: Run does that itself, when its
// context ends. It may be called more than once.
func (s *Server) Close() {
	if !s.started.Swap(true) {
		s.release()
	}
}

func (s *Server) release() {
	s.closing.Do(func() {
		if s.listener != nil {
			_ = s.listener.Close() // it may be closed by the HTTP server already
		}
		if s.client != nil {
			s.client.Close()
		}
	})
}

// handler builds the routes, or reports every mistake in the registration.
func (s *Server) handler() (http.Handler, error) {
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	routes := &routes{router: router, known: make(map[string]bool)}
	for _, v := range s.served {
		routes.handle(v.options.Path+"/commands/{command}", func(w http.ResponseWriter, r *http.Request) { s.serveCommand(v, w, r) }, http.MethodPost)
	}
	for _, q := range s.queries {
		routes.handle(q.path, func(w http.ResponseWriter, r *http.Request) { s.serveQuery(q, w, r) }, q.methods()...)
	}
	s.operational(routes)
	if err := errors.Join(append(s.problems, routes.problems...)...); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	return s.observed(routes.finish()), nil
}
