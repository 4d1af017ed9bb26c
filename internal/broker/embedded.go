package broker

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// embeddedPartitions is what a topic gets that is created without a
	// number.
	embeddedPartitions = 4

	// minSessionTimeout lets groups notice a dead member as soon as they ask
	// to; kfake's own limit is 6 seconds.
	minSessionTimeout = 10 * time.Millisecond

	// closeTimeout bounds what Close asks of the broker before it ends it.
	closeTimeout = 5 * time.Second
)

// EmbeddedConfig configures an embedded broker. The zero value is a broker in
// memory on a free port.
type EmbeddedConfig struct {
	// Dir holds the data. It is created if it is missing. Without it
	// everything is in memory and gone with the broker.
	Dir string

	// Port to listen on, on 127.0.0.1. 0 takes a free one.
	Port int

	// Logger receives what the broker has to say. The default discards it.
	Logger *slog.Logger

	// NoSync leaves it to the operating system when to write to the disk:
	// about four times faster, and safe against a crash of the process but
	// not of the machine.
	NoSync bool
}

// Embedded is a Kafka broker inside this process, for development and for
// small installations that can live with one process and no replication.
//
// What was acknowledged survives the death of the process at any moment, and
// transactions are atomic also then. It keeps everything: topics are neither
// compacted nor does anything expire, only DeleteRecords removes records, and
// after a crash some of those may be back. An idempotent producer without
// transactions that outlives the broker may double what it was sending at that
// moment.
type Embedded struct {
	config  EmbeddedConfig
	tcp     net.Listener
	gate    *gate
	cluster *kfake.Cluster
	store   *store // nil in memory

	closing  sync.Once
	closeErr error
}

// StartEmbedded starts a broker, and if its last run did not end in order,
// repairs what that left behind before anybody can connect. ctx bounds the
// start, not the life of the broker: the caller must Close it. A directory
// that another broker uses is ErrLocked.
func StartEmbedded(ctx context.Context, config EmbeddedConfig) (*Embedded, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Port < 0 || config.Port > 65535 {
		return nil, fmt.Errorf("broker: EmbeddedConfig.Port is %d; give a number from 1 to 65535, or 0 for a free port", config.Port)
	}
	b := &Embedded{config: config}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("broker: embedded broker: %w", err), b.abandon())
	}
	config.Logger.Warn("embedded broker: one process, no replication; for production use a Kafka cluster",
		slog.String("address", b.Addrs()[0]), slog.String("dir", config.Dir))
	return b, nil
}

func (b *Embedded) start(ctx context.Context) (err error) {
	// The directory before the port: whoever starts a program twice should
	// read that it runs already.
	if b.config.Dir != "" {
		if b.store, err = openStore(b.config.Dir, !b.config.NoSync); err != nil {
			return err
		}
	}
	if b.tcp, err = listen(ctx, b.config.Port); err != nil {
		return err
	}
	if err := b.startCluster(); err != nil {
		return err
	}
	if b.store != nil {
		if err := b.recover(ctx); err != nil {
			return fmt.Errorf("repairing %s: %w", b.config.Dir, err)
		}
	}
	b.gate.open()
	return nil
}

// listen takes the port.
func listen(ctx context.Context, port int) (net.Listener, error) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is in use: %w; stop the program that listens there, or choose another port", port, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("port %d: %w; choose one above 1023", port, err)
	case err != nil:
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return listener, nil
}

// startCluster starts kfake behind a closed gate.
func (b *Embedded) startCluster() error {
	b.gate = newGate(b.tcp)
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b.gate, nil }),
		kfake.ClusterID(newClusterID()),
		kfake.DefaultNumPartitions(embeddedPartitions),
		kfake.GroupMinSessionTimeout(minSessionTimeout),
		kfake.WithLogger(embeddedLogger{b.config.Logger}),
		kfake.BrokerConfigs(embeddedBrokerConfigs()),
	}
	if b.store != nil {
		options = append(options, kfake.DataDir(b.store.dataDir))
		if !b.config.NoSync {
			options = append(options, kfake.SyncWrites())
		}
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return fmt.Errorf("starting with the data in %s: %w; restore the directory from a copy, or begin with an empty one", b.config.Dir, err)
	}
	b.cluster = cluster
	hurryRebalances(cluster)
	answerWholePartitions(cluster)
	if b.store != nil {
		b.store.journal.watch(cluster)
		keepLastRecord(cluster)
	}
	return nil
}

// newClusterID returns an identity in the form of Kafka's own. It counts only
// for a directory that has none yet.
func newClusterID() string {
	id := make([]byte, 16)
	rand.Read(id)
	return base64.RawURLEncoding.EncodeToString(id)
}

// embeddedBrokerConfigs switches off what kfake would forget or destroy.
func embeddedBrokerConfigs() map[string]string {
	const century = 100 * 365 * 24 * time.Hour
	return map[string]string{
		// This is the interval of compaction and retention. kfake's compaction
		// drops records that an open transaction replaces, before it is known
		// to commit, and a crash during it loses the partition: it deletes the
		// old segments before it writes the new ones. Its retention empties
		// compacted topics, too, and begins again at offset 0 when all is gone.
		"log.cleaner.backoff.ms": strconv.FormatInt(century.Milliseconds(), 10),

		// What topics without a setting of their own say about themselves.
		"log.retention.ms":    "-1",
		"log.retention.bytes": "-1",

		// A program that was not used for a week continues where it was.
		"offsets.retention.minutes":      strconv.FormatInt(int64(century/time.Minute), 10),
		"transactional.id.expiration.ms": "2147483647",
	}
}

// recover makes the log whole, if the last run did not end in order.
func (b *Embedded) recover(ctx context.Context) error {
	if b.store.unclean {
		began := time.Now()
		result, err := b.repair(ctx)
		if err != nil {
			return err
		}
		b.store.checkpoint = b.store.checkpoint.with(false, result.settled)
		if result.Committed+result.Aborted > 0 {
			// What kfake concluded from the log before the repair is wrong by
			// now, in memory and in the snapshots that it writes when it
			// ends. It must read the log again.
			b.cluster.Close()
			b.cluster = nil
			if err := b.store.dropDerived(); err != nil {
				return err
			}
			if err := b.startCluster(); err != nil {
				return err
			}
		}
		b.config.Logger.Info("embedded broker: repaired after a crash", slog.Duration("duration", time.Since(began)),
			slog.Int64("scanned", result.Scanned), slog.Int("committed", result.Committed),
			slog.Int("aborted", result.Aborted), slog.Int("fenced", result.Fenced))
	}
	// From here on the directory counts as crashed until Close says otherwise.
	if err := b.store.checkpoint.with(false, nil).write(b.store.path(checkpointFile)); err != nil {
		return err
	}
	return b.store.journal.clear()
}

// inside returns a client that reaches the broker through the closed gate.
func (b *Embedded) inside(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.tcp.Addr().String()),
		kgo.Dialer(b.gate.dial),
		kgo.WithLogger(clientLogger{b.config.Logger}),
	}, options...)...)
}

func (b *Embedded) repair(ctx context.Context) (repaired, error) {
	kafka, err := b.inside(
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.KeepControlRecords(),
	)
	if err != nil {
		return repaired{}, err
	}
	defer kafka.Close()
	r := repair{
		kafka: kafka,
		admin: kadm.NewClient(kafka),
		begun: b.store.journal.last,
		from:  b.store.checkpoint.Settled,
	}
	return r.run(ctx)
}

// Addrs returns the addresses to connect to, for Config.Brokers.
func (b *Embedded) Addrs() []string { return []string{b.tcp.Addr().String()} }

// Close ends the broker and its connections. Transactions that are still open
// are aborted by the next start. It may be called more than once.
func (b *Embedded) Close() error {
	b.closing.Do(func() {
		if b.store == nil {
			b.closeErr = b.shut()
			return
		}
		settled, err := b.settled()
		if err != nil {
			// The next repair only scans more.
			b.config.Logger.Warn("embedded broker: no checkpoint", slog.Any("error", err))
		}
		if b.closeErr = b.shut(); b.closeErr == nil {
			b.closeErr = b.store.finish(settled)
		}
		b.closeErr = errors.Join(b.closeErr, b.store.close())
		if b.closeErr != nil {
			b.closeErr = fmt.Errorf("broker: closing the embedded broker: %w", b.closeErr)
		}
	})
	return b.closeErr
}

// settled asks for the offsets of a checkpoint.
func (b *Embedded) settled() (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	kafka, err := b.inside()
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	return settledOffsets(ctx, kadm.NewClient(kafka))
}

// shut ends what runs. It can be called at any stage of the start.
func (b *Embedded) shut() error {
	if b.cluster != nil {
		b.cluster.Close()
	}
	if b.tcp == nil {
		return nil
	}
	err := b.tcp.Close()
	if b.gate != nil {
		b.gate.Close()
		b.gate.wait()
	}
	return err
}

// abandon undoes a start that failed. The directory stays as after a crash.
func (b *Embedded) abandon() error {
	err := b.shut()
	if b.store != nil {
		err = errors.Join(err, b.store.close())
	}
	return err
}
