package processors

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/security"
)

// Config says where and how an application runs. Brokers and Dir are required; the zero value of every other field
// means its documented default.
type Config struct {
	// Brokers are host:port addresses of the Kafka cluster; one of them must answer.
	Brokers []string

	// Security protects the connections to the brokers. The default is neither encryption nor authentication.
	Security security.Config

	// Dir is the directory of the application's state on this instance. It is kept between runs: after a restart only
	// the changes since are restored. Two processes must not share one.
	Dir string

	// Logger receives the log. Nil discards it.
	Logger *slog.Logger

	// Guarantee is the processing guarantee. The default is ExactlyOnce.
	Guarantee Guarantee

	// CommitInterval is how long a task works before it commits, and so the delay before its results can be seen. The
	// default is 100 ms, as in Kafka Streams with exactly-once. A task that has got no record since its last commit
	// does not commit.
	CommitInterval time.Duration

	// CommitRecords and CommitBytes make a task commit before its interval is over: after so many input records, or
	// after so many bytes of output (keys and values for other topics, and the rows for its table). They bound the
	// transactions of a fast task with a long interval, which brokers, readers and restores would choke on. The
	// defaults are 500,000 records and 64 MiB.
	CommitRecords int64
	CommitBytes   int64

	// MemoryBytes is how much memory the application may take on this instance, in total: the caches of all tasks, the
	// state engine, records on their way in and out, the program, and the garbage that Go has not collected yet.
	// App.Memory says how it is split. The default is DefaultMemoryBytes, 1 GiB. A part of it is a reserve for the
	// garbage collector, for the value of GOGC when New is called; see MemorySplit.HeapLimit for a limit that is
	// enforced.
	MemoryBytes int64

	// MaxTaskIdle is how long a task waits for an input that is empty and known to be caught up, before it goes on with
	// the others (KIP-695). 0, the default, does not wait. While an input is not known to be caught up, the task always
	// waits, so that records are merged by timestamp. With a negative value it never waits.
	MaxTaskIdle time.Duration

	// MaxTimeAhead is how far the time of a record of a source may be ahead of the clock of this machine. The time of a
	// record that is further ahead would close all windows before it, for ever. So it fails before anything of it is
	// processed, and the policy topology.OnTimeAhead decides: by default the task retries, and then the application
	// stops, since the clock of this machine may be wrong as well. The default is 1 hour, as in brokers
	// (message.timestamp.after.max.ms). With a negative value there is no bound but the last time that a record can
	// have, in the year 2262.
	MaxTimeAhead time.Duration

	// IdleTimeout is how long the external inputs of a task must have been at their ends before the tasks downstream of
	// its repartition topics stop waiting for its time: see "Several upstream tasks" in docs/dsl/windows.md. The
	// default is 5 s. With a negative value they wait until its next record.
	IdleTimeout time.Duration

	// MaxUpstreamWait bounds how long a task waits for the time of an upstream task that tells nothing, because it is
	// dead, restoring, paused or stuck. After that the records of the upstream task may be late. 0, the default, waits
	// for as long as it takes.
	MaxUpstreamWait time.Duration

	// AlignWithin makes the tasks that write to a repartition topic wait for each other: none processes records that
	// are later by more than this than where the slowest of them has come to. While an application catches up, windows
	// downstream stay open from the slowest task to the fastest; this bounds how many. 0, the default, lets each task
	// go as fast as it can. Tasks that are idle, or that have not committed anything yet, are not waited for.
	AlignWithin time.Duration

	// AcceptTopology accepts a change of the topology that does not fit the state of the version before. Run refuses
	// such a change, explains it, and says what to write here. The value names that change and no other, so that it may
	// stay when the change is deployed. See describe.Compare for the meaning of changes.
	AcceptTopology string

	// Replication is the replication factor of internal topics that Run creates; 0 means the broker's default.
	Replication int16

	// Address is where other instances reach this one, host:port. All members of the groups get it. The default names
	// the process for people, "host/pid"; it cannot be connected to.
	Address string

	// SessionTimeout is how long the groups wait for an instance that does not answer any more. The default is 10 s.
	SessionTimeout time.Duration

	// InstanceID makes this instance a static member of its groups (KIP-345): while it restarts, its tasks are kept for
	// it for the session timeout, and nothing moves. No two instances may have the same. The default is none: the tasks
	// of an instance that leaves move at once.
	InstanceID string

	// MetadataMaxAge is how often the application looks for topics that match one of its sources and were created or
	// deleted since: see topology.SourceMatching. When one instance finds a change, the others look for it at once. The
	// default is 5 minutes, as in Kafka (metadata.max.age.ms).
	MetadataMaxAge time.Duration

	// Rack names the place of this instance, such as a zone, as broker.rack does for brokers. Copies of a task's state
	// are kept in other racks than the task if there are any, and records are read from replicas in the same rack if
	// the cluster allows it (KIP-392).
	Rack string

	// Standbys is how many other instances keep a warm copy of each task's state, to take the task over without a
	// restore. All instances should have the same value; the largest counts. The default is 0.
	Standbys int

	// AcceptableLag is how many changelog offsets a copy may lack and still count as caught up: a task moves to such a
	// copy at once, and restores what it lacks. The default is 10,000, as in Kafka Streams (KIP-441).
	AcceptableLag int64

	// MaxWarmups bounds how many copies each group warms up at a time, on all instances together, before tasks move to
	// them. The default is 4.
	MaxWarmups int

	// HandoverTimeout bounds how long an instance that is told to end continues to work while others take over its
	// tasks or warm up for them. Then it leaves anyway, and they restore the rest. The default is 5 s; with a negative
	// value the instance leaves at once.
	HandoverTimeout time.Duration

	// CleanupDelay is how long the state of a task stays on the disk of an instance that neither works on the task nor
	// keeps a copy: the task may come back, and then only the tail is restored. The default is 10 minutes, as in Kafka
	// Streams.
	CleanupDelay time.Duration

	// TransactionTimeout bounds how long a commit may take, and how long the open transaction of a dead task blocks
	// readers if no instance takes the task over. With ExactlyOnce it must be at least twice the commit interval;
	// brokers allow up to their transaction.max.timeout.ms, 15 minutes by default. The default is 20 s, or three times
	// the commit interval if that is longer, up to 15 minutes.
	TransactionTimeout time.Duration

	// ProcessingRetries is how often a task retries, with growing pauses, a record that its operators or codecs fail
	// on, or whose output the broker refuses, before the application gives up. It applies where the topology leaves a
	// policy at its default (topology.Policies). A topic that does not exist is retried as often. The default is 5.
	// Failures of brokers and disks are retried for ever: no record causes them.
	ProcessingRetries int

	// StuckAfter is how long a task may make no progress, although it has something to do, before a warning says so and
	// what it waits for. The default is 1 minute; a negative value never warns.
	StuckAfter time.Duration

	// Tracer makes spans of what tasks do; package telemetry has one. The default traces nothing.
	Tracer Tracer

	// Hooks are called when something happens.
	Hooks Hooks
}

const (
	defaultCommitInterval    = 100 * time.Millisecond
	defaultCommitRecords     = 500_000
	defaultIdleTimeout       = 5 * time.Second
	defaultCommitBytes       = 64 << 20
	maxTransactionTimeout    = 15 * time.Minute // the limit of brokers by default
	defaultProcessingRetries = 5
	defaultAcceptableLag     = 10_000
	defaultMaxWarmups        = 4
	defaultHandoverTimeout   = 5 * time.Second
	defaultCleanupDelay      = 10 * time.Minute
	defaultStuckAfter        = time.Minute
	defaultMetadataMaxAge    = 5 * time.Minute
	defaultMaxTimeAhead      = time.Hour
)

// withDefaults replaces zero values by the defaults that the fields document.
func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Address == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		c.Address = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	c.CommitInterval = cmp.Or(c.CommitInterval, defaultCommitInterval)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, defaultIdleTimeout)
	c.CommitRecords = cmp.Or(c.CommitRecords, defaultCommitRecords)
	c.CommitBytes = cmp.Or(c.CommitBytes, defaultCommitBytes)
	c.MemoryBytes = cmp.Or(c.MemoryBytes, DefaultMemoryBytes)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, broker.DefaultSessionTimeout)
	c.TransactionTimeout = cmp.Or(c.TransactionTimeout,
		min(max(broker.DefaultTransactionTimeout, 3*c.CommitInterval), maxTransactionTimeout))
	c.ProcessingRetries = cmp.Or(c.ProcessingRetries, defaultProcessingRetries)
	c.AcceptableLag = cmp.Or(c.AcceptableLag, defaultAcceptableLag)
	c.MaxWarmups = cmp.Or(c.MaxWarmups, defaultMaxWarmups)
	c.HandoverTimeout = cmp.Or(c.HandoverTimeout, defaultHandoverTimeout)
	c.CleanupDelay = cmp.Or(c.CleanupDelay, defaultCleanupDelay)
	c.StuckAfter = cmp.Or(c.StuckAfter, defaultStuckAfter)
	c.MaxTimeAhead = cmp.Or(c.MaxTimeAhead, defaultMaxTimeAhead)
	c.MetadataMaxAge = cmp.Or(c.MetadataMaxAge, defaultMetadataMaxAge)
	return c
}

// validate names every field that is wrong, and its bound.
func (c Config) validate() error {
	var errs []error
	if len(c.Brokers) == 0 {
		errs = append(errs, errors.New("Brokers is empty: name at least one host:port"))
	}
	if c.Dir == "" {
		errs = append(errs, errors.New("Dir is empty: name a directory for the application's state"))
	}
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"CommitInterval", int64(c.CommitInterval)},
		{"CommitRecords", c.CommitRecords},
		{"MaxUpstreamWait", int64(c.MaxUpstreamWait)},
		{"AlignWithin", int64(c.AlignWithin)},
		{"CommitBytes", c.CommitBytes},
		{"MemoryBytes", c.MemoryBytes},
		{"Replication", int64(c.Replication)},
		{"SessionTimeout", int64(c.SessionTimeout)},
		{"MetadataMaxAge", int64(c.MetadataMaxAge)},
		{"TransactionTimeout", int64(c.TransactionTimeout)},
		{"ProcessingRetries", int64(c.ProcessingRetries)},
		{"Standbys", int64(c.Standbys)},
		{"AcceptableLag", c.AcceptableLag},
		{"MaxWarmups", int64(c.MaxWarmups)},
		{"CleanupDelay", int64(c.CleanupDelay)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", f.name))
		}
	}
	if c.AlignWithin > 0 && c.IdleTimeout < 0 {
		errs = append(errs, errors.New("AlignWithin needs an IdleTimeout: the tasks would wait for ever for one whose partition has ended"))
	}
	if d := c.withDefaults(); c.Guarantee == ExactlyOnce && d.TransactionTimeout > 0 && d.CommitInterval > d.TransactionTimeout/2 {
		errs = append(errs, fmt.Errorf(
			"CommitInterval is %v and TransactionTimeout %v, less than twice as much: brokers would abort transactions before they are committed; "+
				"raise TransactionTimeout, or commit more often", d.CommitInterval, d.TransactionTimeout))
	}
	if c.Guarantee > AtLeastOnce {
		errs = append(errs, fmt.Errorf("Guarantee is %d: use ExactlyOnce or AtLeastOnce", c.Guarantee))
	}
	if c.MaxTimeAhead > 0 && c.MaxTimeAhead < time.Millisecond {
		errs = append(errs, fmt.Errorf("MaxTimeAhead is %v: give a millisecond or more, or a negative value for no bound", c.MaxTimeAhead))
	}
	if err := c.Security.Validate(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("processors configuration: %w", errors.Join(errs...))
	}
	return nil
}
