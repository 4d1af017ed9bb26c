package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/aggregates"
	"github.com/seed84377926/millrace/internal/broker"
)

// Server is an edge: it serves aggregate types and queries over HTTP. Make one with [New], register everything, then
// call Run once. Registration belongs to one goroutine and ends with the call of Run.
type Server struct {
	config   Config
	log      *slog.Logger
	metrics  *metrics
	clock    func() time.Time
	steady   *steadyClock
	listener net.Listener
	client   *broker.Client // nil without brokers
	signer   *signer

	served   []*served
	queries  []*query
	checks   []check
	debugs   map[string]func() any
	mistakes []error // in the registration

	started  atomic.Bool
	draining atomic.Bool
	closing  sync.Once
}

// New makes a server: it listens on the address, opens the directory, and connects to the brokers if there are any. ctx
// bounds these steps, not the life of the server. Run closes everything that New opened; a server that is never run
// must be closed with Close.
func New(ctx context.Context, config Config) (_ *Server, err error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	began := time.Now()
	s := &Server{
		config: config, log: config.Logger, metrics: newMetrics(), clock: time.Now,
		steady: newSteadyClock(time.Now, func() time.Duration { return time.Since(began) }),
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

// Aggregate serves the commands of an aggregate type at POST {Path}/commands/{command}. Mistakes in the arguments are
// returned by Run.
func (s *Server) Aggregate(typ aggregates.Type, options AggregateOptions) {
	for _, err := range []error{typ.Validate(), options.validate()} {
		if err != nil {
			s.addMistake(fmt.Errorf("aggregate %q: %w", typ.Name(), err))
		}
	}
	for _, other := range s.served {
		if other.typ.Name() == typ.Name() {
			s.addMistake(fmt.Errorf("aggregate %q is served twice", typ.Name()))
		}
	}
	if s.client == nil {
		s.addMistake(fmt.Errorf("aggregate %q needs a broker; set Config.Brokers", typ.Name()))
	}
	s.served = append(s.served, &served{typ: typ, options: options})
}

// Check adds a condition to /readyz: the server is ready only while ready returns nil. Each request for /readyz calls
// ready, and several requests may do so at the same time, so ready must be quick.
func (s *Server) Check(name string, ready func(context.Context) error) {
	s.checks = append(s.checks, check{name, ready})
}

// Debug shows the result of report, as JSON, under name in /debug/state. Each request calls report, and several
// requests may do so at the same time.
func (s *Server) Debug(name string, report func() any) {
	if _, taken := s.debugs[name]; taken {
		s.addMistake(fmt.Errorf("debug report %q is registered twice", name))
	}
	s.debugs[name] = report
}

// addMistake records a mistake that the caller of its caller made, with the file and line of that call. Run returns the
// mistake.
func (s *Server) addMistake(err error) {
	if _, file, line, ok := runtime.Caller(2); ok {
		err = fmt.Errorf("%s:%d: %w", file, line, err)
	}
	s.mistakes = append(s.mistakes, err)
}

// Run serves until ctx ends, and then drains: /readyz answers 503, new connections are refused, requests in progress
// get their answers, and the owners finish their queues and close their writers. It returns nil after an orderly end,
// also if requests were cut off at the end of the drain timeout. Mistakes in the registration, and existing topics with
// a wrong number of partitions, are returned at once.
func (s *Server) Run(ctx context.Context) error {
	if s.started.Swap(true) {
		return errors.New("edge: Run was called twice, or after Close; make a new server")
	}
	defer s.release()
	handler, err := s.handler()
	if err != nil {
		return err
	}
	// The owners outlive ctx: they finish their queues while the server drains.
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

// drain ends the server without failing the requests in progress.
func (s *Server) drain(ctx context.Context, server *http.Server, abort context.CancelFunc) {
	s.draining.Store(true)
	s.log.Info("edge drains")
	ctx = context.WithoutCancel(ctx)
	if s.config.DrainDelay > 0 {
		_ = sleep(ctx, s.config.DrainDelay) // cannot end early
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		s.log.Warn("requests are cut off: the drain timeout is over", slog.Duration("timeout", s.config.DrainTimeout))
		_ = server.Close() // its error changes nothing
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

// Close releases everything that New opened, if Run was never called. After a call of Run, Close does nothing, because
// Run itself releases everything at its end. Close may be called more than once.
func (s *Server) Close() {
	if !s.started.Swap(true) {
		s.release()
	}
}

func (s *Server) release() {
	s.closing.Do(func() {
		if s.listener != nil {
			_ = s.listener.Close() // the HTTP server may have closed it already
		}
		if s.client != nil {
			s.client.Close()
		}
	})
}

// handler builds the routes, or returns every mistake in the registration.
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
	if err := errors.Join(append(s.mistakes, routes.mistakes...)...); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	return s.observed(routes.finish()), nil
}
