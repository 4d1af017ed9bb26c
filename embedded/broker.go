package embedded

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

	"github.com/seed84377926/millrace/internal/clientlog"
)

const (
	// defaultPartitions is the number of partitions of a topic that is created without one.
	defaultPartitions = 4

	// minSessionTimeout allows groups any session timeout, so that they notice a dead member early; kfake's own minimum
	// is 6 seconds.
	minSessionTimeout = 10 * time.Millisecond

	// closeTimeout bounds the requests that Close sends to the broker before it stops it.
	closeTimeout = 5 * time.Second
)

// Config configures an embedded broker. The zero value is a broker in memory on a free port.
type Config struct {
	// Dir is the directory of the data, which is kept between runs. It is created if it is missing. Without it
	// everything is in memory and gone with the broker.
	Dir string

	// Port is the TCP port on 127.0.0.1. 0 takes a free one.
	Port int

	// Logger receives what happens. The default discards it.
	Logger *slog.Logger

	// NoSync leaves it to the operating system when to write to the disk, as Kafka does: about four times faster, and
	// safe against a crash of the process but not of the machine.
	NoSync bool
}

// Broker is a Kafka broker inside this process. Everything that it acknowledged survives if the process dies, at any
// moment, and transactions stay atomic. It keeps all records but those that DeleteRecords removes. It is one process
// without replication: it is not for production.
type Broker struct {
	config    Config
	tcp       net.Listener
	gate      *gate
	cluster   *kfake.Cluster
	directory *directory // nil in memory

	closing  sync.Once
	closeErr error
}

// Start starts a broker. If its last run did not end in order, Start first repairs the logs and aborts the transactions
// that were left open, before any client can connect. ctx bounds the start, not the life of the broker: the caller must
// Close it. If another broker uses the directory, the error wraps ErrLocked.
func Start(ctx context.Context, config Config) (*Broker, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Port < 0 || config.Port > 65535 {
		return nil, fmt.Errorf("embedded: Config.Port is %d; give a number from 1 to 65535, or 0 for a free port", config.Port)
	}
	b := &Broker{config: config}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the embedded broker: %w", err), b.abandon())
	}
	config.Logger.Warn("embedded broker: one process, no replication; for production use a Kafka cluster",
		slog.String("address", b.Addrs()[0]), slog.String("dir", config.Dir))
	return b, nil
}

func (b *Broker) start(ctx context.Context) (err error) {
	// The directory before the port: if a program is started twice, the error should say that it runs already.
	if b.config.Dir != "" {
		if b.directory, err = openDirectory(b.config.Dir, !b.config.NoSync); err != nil {
			return err
		}
	}
	if b.tcp, err = listen(ctx, b.config.Port); err != nil {
		return err
	}
	if err := b.startCluster(); err != nil {
		return err
	}
	if b.directory != nil {
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
func (b *Broker) startCluster() error {
	b.gate = newGate(b.tcp)
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b.gate, nil }),
		kfake.ClusterID(newClusterID()),
		kfake.DefaultNumPartitions(defaultPartitions),
		kfake.GroupMinSessionTimeout(minSessionTimeout),
		kfake.WithLogger(clusterLogger{b.config.Logger}),
		kfake.BrokerConfigs(brokerConfigs()),
	}
	if b.directory != nil {
		options = append(options, kfake.DataDir(b.directory.dataDir))
		if !b.config.NoSync {
			options = append(options, kfake.SyncWrites())
		}
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return fmt.Errorf("starting with the data in %s: %w; restore the directory from a copy, or begin with an empty one", b.config.Dir, err)
	}
	b.cluster = cluster
	shortenRebalances(cluster)
	answerWholePartitions(cluster)
	if b.directory != nil {
		b.directory.journal.watch(cluster)
		keepLastRecord(cluster)
	}
	return nil
}

// newClusterID returns a random cluster id in Kafka's format. kfake uses it only if the directory has none yet.
func newClusterID() string {
	id := make([]byte, 16)
	rand.Read(id)
	return base64.RawURLEncoding.EncodeToString(id)
}

// brokerConfigs switches off everything in kfake that forgets or destroys data.
func brokerConfigs() map[string]string {
	const century = 100 * 365 * 24 * time.Hour
	return map[string]string{
		// The interval of compaction and retention. kfake's compaction drops a record that an open transaction
		// replaces, although that may be aborted, and a crash during compaction loses the partition: it deletes the old
		// segments before it writes the new ones. Its retention also empties compacted topics, and when nothing is left
		// it begins again at offset 0.
		"log.cleaner.backoff.ms": strconv.FormatInt(century.Milliseconds(), 10),

		// The settings that topics without their own report.
		"log.retention.ms":    "-1",
		"log.retention.bytes": "-1",

		// A program that has not run for a week continues where it was.
		"offsets.retention.minutes":      strconv.FormatInt(int64(century/time.Minute), 10),
		"transactional.id.expiration.ms": "2147483647",
	}
}

// recover repairs the logs if the last run did not end in order.
func (b *Broker) recover(ctx context.Context) error {
	if b.directory.unclean {
		began := time.Now()
		result, err := b.repair(ctx)
		if err != nil {
			return err
		}
		b.directory.checkpoint = b.directory.checkpoint.with(false, result.settled)
		if result.Committed+result.Aborted > 0 {
			// What kfake derived from the logs before the repair is wrong now, in memory and in the snapshots that it
			// writes when it stops. It must read the logs again.
			b.cluster.Close()
			b.cluster = nil
			if err := b.directory.dropDerived(); err != nil {
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
	// From here on the directory counts as crashed until Close says otherwise (EB4).
	if err := b.directory.checkpoint.with(false, nil).write(b.directory.path(checkpointFile)); err != nil {
		return err
	}
	return b.directory.journal.clear()
}

// inside returns a client that reaches the broker through the closed gate.
func (b *Broker) inside(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.tcp.Addr().String()),
		kgo.Dialer(b.gate.dial),
		kgo.WithLogger(clientlog.New(b.config.Logger)),
	}, options...)...)
}

func (b *Broker) repair(ctx context.Context) (repairResult, error) {
	kafka, err := b.inside(
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.KeepControlRecords(),
	)
	if err != nil {
		return repairResult{}, err
	}
	defer kafka.Close()
	r := repair{
		kafka: kafka,
		admin: kadm.NewClient(kafka),
		begun: b.directory.journal.last,
		from:  b.directory.checkpoint.Settled,
	}
	return r.run(ctx)
}

// Addrs returns the addresses of the broker, for the Brokers field of a Config.
func (b *Broker) Addrs() []string { return []string{b.tcp.Addr().String()} }

// Close stops the broker and its connections; its data stays. Call it after everything that uses the broker has ended:
// the next Start aborts transactions that are still open. It may be called more than once.
func (b *Broker) Close() error {
	b.closing.Do(func() {
		if b.directory == nil {
			b.closeErr = b.shut()
			return
		}
		settled, err := b.settled()
		if err != nil {
			// Without a checkpoint the next repair scans more.
			b.config.Logger.Warn("embedded broker: no checkpoint", slog.Any("error", err))
		}
		if b.closeErr = b.shut(); b.closeErr == nil {
			b.closeErr = b.directory.finish(settled)
		}
		b.closeErr = errors.Join(b.closeErr, b.directory.close())
		if b.closeErr != nil {
			b.closeErr = fmt.Errorf("close the embedded broker: %w", b.closeErr)
		}
	})
	return b.closeErr
}

// settled returns the offsets of a checkpoint.
func (b *Broker) settled() (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	kafka, err := b.inside()
	if err != nil {
		return nil, err
	}
	defer kafka.Close()
	return settledOffsets(ctx, kadm.NewClient(kafka))
}

// shut stops what runs. It can be called at any stage of the start.
func (b *Broker) shut() error {
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
func (b *Broker) abandon() error {
	err := b.shut()
	if b.directory != nil {
		err = errors.Join(err, b.directory.close())
	}
	return err
}
