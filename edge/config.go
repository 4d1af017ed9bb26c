package edge

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed84377926/millrace/security"
)

// Config configures a [Server]. Name and Dir are required, Brokers too if there are aggregates; the zero value of
// every other field is its documented default.
type Config struct {
	// Name of the application: lower-case letters, digits and hyphens, beginning with a letter. It begins the names of
	// the topics and transactional ids that the edge owns, so it never changes.
	Name string

	// Listen is the address to serve on. The default is 127.0.0.1:8080. Port 0 takes a free one, see Server.Addr.
	Listen string

	// Brokers of the Kafka cluster, host:port.
	Brokers []string

	// Security protects the connections to the brokers. The default is neither encryption nor authentication.
	Security security.Config

	// Dir holds the state of the aggregates and the key that signs cursors. It is created if it is missing. What is in
	// it belongs to this server alone; apart from the key it can be rebuilt from Kafka.
	Dir string

	// MemoryBytes bounds what the state of all aggregates takes in memory: blocks of files and rows on their way to disk.
	// Requests and the connections to the brokers come on top of it. The default is 64 MiB; with less than 320 KiB for
	// each partition it takes that.
	MemoryBytes int64

	// Logger receives the access log and everything else. The default discards it.
	Logger *slog.Logger

	// Registry receives the metrics and is what /metrics shows. The default is a registry of its own.
	Registry *prometheus.Registry

	// CursorKey signs cursors; at least 32 bytes. All edges behind one address need the same key. The default is a
	// random key that is kept in Dir.
	CursorKey []byte

	// MaxBodyBytes bounds the body of a request. The default is 1 MiB.
	MaxBodyBytes int64

	// ReadHeaderTimeout, ReadTimeout and IdleTimeout bound how long a client may take for the header, for a whole
	// request, and between two requests. The defaults are 5 s, 30 s and 2 min.
	ReadHeaderTimeout, ReadTimeout, IdleTimeout time.Duration

	// CommandTimeout bounds how long a command waits for its answer, in the queue and in the transaction. The default
	// is 15 s.
	CommandTimeout time.Duration

	// QueryTimeout bounds how long a query takes, without the waiting for views. The default is 10 s.
	QueryTimeout time.Duration

	// DefaultWait is how long a query with a consistency token waits for its views if it does not say (Prefer: wait).
	// The default is 2 s. MaxWait is the most it may ask for; the default is 30 s.
	DefaultWait, MaxWait time.Duration

	// IdempotencyWindow is how long the answer of a command with an Idempotency-Key is kept. The default is 24 h.
	IdempotencyWindow time.Duration

	// MaxBatch is how many commands of a partition are committed in one transaction at most. The default is 256.
	MaxBatch int

	// Linger is how long an owner waits for further commands once it has one. While a transaction is under way
	// commands gather anyway. The default is 1 ms; a negative value does not wait.
	Linger time.Duration

	// QueueDepth is how many commands may wait for one owner; further ones are refused. The default is 1024.
	QueueDepth int

	// CommitTimeout bounds a transaction; one that takes longer has an unknown outcome. The default is 10 s.
	CommitTimeout time.Duration

	// DrainDelay is how long the server goes on as usual after it was told to stop and /readyz says so, for load
	// balancers to notice. The default is none.
	DrainDelay time.Duration

	// DrainTimeout bounds how long the server then waits for requests under way. The default is 15 s.
	DrainTimeout time.Duration
}

const (
	defaultListen            = "127.0.0.1:8080"
	defaultMemoryBytes       = 64 << 20
	defaultMaxBodyBytes      = 1 << 20
	defaultReadHeaderTimeout = 5 * time.Second
	defaultReadTimeout       = 30 * time.Second
	defaultIdleTimeout       = 2 * time.Minute
	defaultCommandTimeout    = 15 * time.Second
	defaultQueryTimeout      = 10 * time.Second
	defaultWait              = 2 * time.Second
	defaultMaxWait           = 30 * time.Second
	defaultIdempotencyWindow = 24 * time.Hour
	defaultMaxBatch          = 256
	defaultLinger            = time.Millisecond
	defaultQueueDepth        = 1024
	defaultCommitTimeout     = 10 * time.Second
	defaultDrainTimeout      = 15 * time.Second

	minCursorKey = 32 // bytes
)

// withDefaults returns c with every unset field filled in, except CursorKey.
func (c Config) withDefaults() Config {
	orDefault(&c.Listen, defaultListen)
	orDefault(&c.MemoryBytes, defaultMemoryBytes)
	orDefault(&c.MaxBodyBytes, defaultMaxBodyBytes)
	orDefault(&c.ReadHeaderTimeout, defaultReadHeaderTimeout)
	orDefault(&c.ReadTimeout, defaultReadTimeout)
	orDefault(&c.IdleTimeout, defaultIdleTimeout)
	orDefault(&c.CommandTimeout, defaultCommandTimeout)
	orDefault(&c.QueryTimeout, defaultQueryTimeout)
	orDefault(&c.DefaultWait, defaultWait)
	orDefault(&c.MaxWait, defaultMaxWait)
	orDefault(&c.IdempotencyWindow, defaultIdempotencyWindow)
	orDefault(&c.MaxBatch, defaultMaxBatch)
	orDefault(&c.Linger, defaultLinger)
	orDefault(&c.QueueDepth, defaultQueueDepth)
	orDefault(&c.CommitTimeout, defaultCommitTimeout)
	orDefault(&c.DrainTimeout, defaultDrainTimeout)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports everything that is wrong with c, which has its defaults, at once.
func (c Config) validate() error {
	var problems []error
	fault := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !validName(c.Name) {
		fault("Config.Name is %q; give lower-case letters, digits and hyphens, beginning with a letter", c.Name)
	}
	if c.Dir == "" {
		fault("Config.Dir is empty; give a directory that belongs to this server alone")
	}
	if n := len(c.CursorKey); n > 0 && n < minCursorKey {
		fault("Config.CursorKey has %d bytes; give at least %d, or none for a key of its own", n, minCursorKey)
	}
	for _, limit := range []struct {
		name  string
		value int64
	}{
		{"MemoryBytes", c.MemoryBytes},
		{"MaxBodyBytes", c.MaxBodyBytes},
		{"ReadHeaderTimeout", int64(c.ReadHeaderTimeout)},
		{"ReadTimeout", int64(c.ReadTimeout)},
		{"IdleTimeout", int64(c.IdleTimeout)},
		{"CommandTimeout", int64(c.CommandTimeout)},
		{"QueryTimeout", int64(c.QueryTimeout)},
		{"DefaultWait", int64(c.DefaultWait)},
		{"MaxWait", int64(c.MaxWait)},
		{"IdempotencyWindow", int64(c.IdempotencyWindow)},
		{"MaxBatch", int64(c.MaxBatch)},
		{"QueueDepth", int64(c.QueueDepth)},
		{"CommitTimeout", int64(c.CommitTimeout)},
		{"DrainTimeout", int64(c.DrainTimeout)},
	} {
		if limit.value < 0 {
			fault("Config.%s is negative; give a positive value, or 0 for the default", limit.name)
		}
	}
	if c.DrainDelay < 0 {
		fault("Config.DrainDelay is %s; give 0 or more", c.DrainDelay)
	}
	if c.DefaultWait > c.MaxWait {
		fault("Config.DefaultWait is %s, more than MaxWait, %s", c.DefaultWait, c.MaxWait)
	}
	problems = append(problems, c.Security.Validate())
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	return nil
}

// validName says whether name can stand in topic names.
func validName(name string) bool {
	for i, c := range name {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}
