package edge

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed84377926/millrace/security"
)

// Config configures a [Server]. Name and Dir are required, Brokers too if there are aggregates; the zero value of every
// other field is its documented default.
type Config struct {
	// Name of the application: lower-case letters, digits and hyphens, beginning with a letter. The names of the topics
	// and transactional ids of the edge begin with it, so it never changes.
	Name string

	// Listen is the address to serve on. The default is 127.0.0.1:8080. Port 0 takes a free port, see Server.Addr.
	Listen string

	// Brokers of the Kafka cluster, host:port.
	Brokers []string

	// Security protects the connections to the brokers. The default is neither encryption nor authentication.
	Security security.Config

	// Dir holds the state of the aggregates and the key that signs cursors. It is created if it is missing. It belongs
	// to this server alone. Everything in it except the key can be rebuilt from Kafka.
	Dir string

	// MemoryBytes bounds the memory of the state of all aggregates: blocks of files, and rows on their way to disk.
	// Requests and the connections to the brokers need more memory besides. The default is 64 MiB; the least is 320 KiB
	// for each partition.
	MemoryBytes int64

	// Logger receives the access log and all other logs. The default discards them.
	Logger *slog.Logger

	// Registry receives the metrics; /metrics shows it. The default is a new registry.
	Registry *prometheus.Registry

	// CursorKey signs cursors. It has at least 32 bytes. All edges that share an address need the same key. The default
	// is a random key that is kept in Dir.
	CursorKey []byte

	// MaxBodyBytes bounds the body of a request. The default is 1 MiB.
	MaxBodyBytes int64

	// ReadHeaderTimeout, ReadTimeout and IdleTimeout bound how long a client may take for the header of a request, for
	// a whole request, and between two requests. The defaults are 5 s, 30 s and 2 min.
	ReadHeaderTimeout, ReadTimeout, IdleTimeout time.Duration

	// CommandTimeout bounds how long a command waits for its answer, in the queue and in the transaction. The default
	// is 15 s.
	CommandTimeout time.Duration

	// QueryTimeout bounds how long a query takes, without the wait for views. The default is 10 s.
	QueryTimeout time.Duration

	// DefaultWait is how long a query with a consistency token waits for its views if the client does not send Prefer:
	// wait. The default is 2 s. MaxWait is the longest wait that a client may ask for; the default is 30 s.
	DefaultWait, MaxWait time.Duration

	// IdempotencyWindow is how long the answer of a command with an Idempotency-Key is kept. The default is 24 h.
	IdempotencyWindow time.Duration

	// MaxBatch is how many commands of a partition one transaction commits at most. The default is 256.
	MaxBatch int

	// Linger is how long an owner waits for more commands after the first of a batch. Commands that arrive during a
	// transaction are in the next batch anyway. The default is 1 ms; a negative value means no wait.
	Linger time.Duration

	// QueueDepth is how many commands may wait for one owner; more are refused. The default is 1024.
	QueueDepth int

	// CommitTimeout bounds a transaction. One that takes longer may have an unknown outcome. The default is 10 s.
	CommitTimeout time.Duration

	// DrainDelay is how long the server still serves as usual after its context has ended, while /readyz answers 503,
	// so that load balancers notice. The default is 0.
	DrainDelay time.Duration

	// DrainTimeout bounds how long the server then waits for requests in progress. The default is 15 s.
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
	c.Listen = cmp.Or(c.Listen, defaultListen)
	c.MemoryBytes = cmp.Or(c.MemoryBytes, defaultMemoryBytes)
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, defaultMaxBodyBytes)
	c.ReadHeaderTimeout = cmp.Or(c.ReadHeaderTimeout, defaultReadHeaderTimeout)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, defaultReadTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, defaultIdleTimeout)
	c.CommandTimeout = cmp.Or(c.CommandTimeout, defaultCommandTimeout)
	c.QueryTimeout = cmp.Or(c.QueryTimeout, defaultQueryTimeout)
	c.DefaultWait = cmp.Or(c.DefaultWait, defaultWait)
	c.MaxWait = cmp.Or(c.MaxWait, defaultMaxWait)
	c.IdempotencyWindow = cmp.Or(c.IdempotencyWindow, defaultIdempotencyWindow)
	c.MaxBatch = cmp.Or(c.MaxBatch, defaultMaxBatch)
	c.Linger = cmp.Or(c.Linger, defaultLinger)
	c.QueueDepth = cmp.Or(c.QueueDepth, defaultQueueDepth)
	c.CommitTimeout = cmp.Or(c.CommitTimeout, defaultCommitTimeout)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, defaultDrainTimeout)
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	c.Registry = cmp.Or(c.Registry, prometheus.NewRegistry())
	return c
}

// validate reports everything that is wrong with c. The defaults of c are set already.
func (c Config) validate() error {
	var mistakes []error
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if !validName(c.Name) {
		mistake("Config.Name is %q; give lower-case letters, digits and hyphens, beginning with a letter", c.Name)
	}
	if c.Dir == "" {
		mistake("Config.Dir is empty; give a directory that belongs to this server alone")
	}
	if n := len(c.CursorKey); n > 0 && n < minCursorKey {
		mistake("Config.CursorKey has %d bytes; give at least %d, or none for a key of its own", n, minCursorKey)
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
			mistake("Config.%s is negative; give a positive value, or 0 for the default", limit.name)
		}
	}
	if c.DrainDelay < 0 {
		mistake("Config.DrainDelay is %s; give 0 or more", c.DrainDelay)
	}
	if c.DefaultWait > c.MaxWait {
		mistake("Config.DefaultWait is %s, more than MaxWait, %s", c.DefaultWait, c.MaxWait)
	}
	mistakes = append(mistakes, c.Security.Validate())
	if err := errors.Join(mistakes...); err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	return nil
}

// validName reports whether name may be a part of topic names.
func validName(name string) bool {
	for i, c := range name {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return name != ""
}
