package embedded_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
)

func TestBroker_inMemoryIsGoneWithTheBroker(t *testing.T) {
	b, err := embedded.Start(t.Context(), embedded.Config{})
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(b.Addrs()[0])
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	require.NotEqual(t, "0", port)

	client := connect(t, b.Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: "events", Kind: broker.EventLog}))
	count, err := client.Partitions(t.Context(), "events")
	require.NoError(t, err)
	require.EqualValues(t, embedded.DefaultPartitions, count)

	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "a second Close")
	_, err = net.Dial("tcp", b.Addrs()[0])
	require.Error(t, err)
}

func TestBroker_keepsEverythingFromRunToRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "[yet]")
	var clusterID string
	var topicID [16]byte
	for run := range 3 {
		var log brokertest.Log
		b, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Logger: log.Logger()})
		require.NoError(t, err)
		require.NotContains(t, log.String(), "repaired", "run %d", run)
		require.Contains(t, log.String(), "for production use a Kafka cluster")
		client, err := broker.Connect(t.Context(), broker.Config{Brokers: b.Addrs()})
		require.NoError(t, err)
		require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: "events", Partitions: 2, Kind: broker.EventLog}))
		id, err := client.TopicID(t.Context(), "events")
		require.NoError(t, err)
		if run == 0 {
			clusterID, topicID = client.ClusterID(), id
		}
		require.Equal(t, clusterID, client.ClusterID())
		require.Equal(t, topicID, id)

		kafka, err := kgo.NewClient(append(client.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
		require.NoError(t, err)
		record := &kgo.Record{Topic: "events", Partition: 1, Value: fmt.Appendf(nil, "run %d", run)}
		require.NoError(t, kafka.ProduceSync(t.Context(), record).FirstErr())
		require.EqualValues(t, run, record.Offset)
		var offsets kadm.Offsets
		offsets.AddOffset("events", 1, int64(run+1), -1)
		before, err := client.Admin().FetchOffsets(t.Context(), "readers")
		if run > 0 {
			require.NoError(t, err)
			offset, _ := before.Lookup("events", 1)
			require.EqualValues(t, run, offset.At)
		}
		require.NoError(t, client.Admin().CommitAllOffsets(t.Context(), "readers", offsets))
		kafka.Close()
		client.Close()
		require.NoError(t, b.Close())
	}
	require.NotEqual(t, clusterID, connect(t, brokertest.Start(t, embedded.Config{}).Addrs()).ClusterID())
}

func TestBroker_directoryInUse(t *testing.T) {
	dir := t.TempDir()
	brokertest.Start(t, embedded.Config{Dir: dir})
	_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
	require.ErrorIs(t, err, embedded.ErrLocked)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "process "+strconv.Itoa(os.Getpid()))
	require.ErrorContains(t, err, "choose another directory")
}

func TestBroker_directoryInUseByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	other := startChild(t, dir, 0, os.Stderr)
	_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
	require.ErrorIs(t, err, embedded.ErrLocked)
	require.ErrorContains(t, err, "process "+strconv.Itoa(other.cmd.Process.Pid))
	other.kill()
	brokertest.Start(t, embedded.Config{Dir: dir})
}

func TestBroker_directoryCannotBeWritten(t *testing.T) {
	// A file in its place, since for root every directory can be written.
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
		require.ErrorContains(t, err, "creating the data directory")
		require.ErrorContains(t, err, file)
		require.ErrorContains(t, err, "not a directory")
		require.ErrorContains(t, err, "choose a directory that can be written")
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, embedded.LockFile), 0o755))
	_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
	require.ErrorContains(t, err, "locking the data directory")
	require.ErrorContains(t, err, "choose a directory that can be written")
}

func TestBroker_portInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	port := portOf(t, listener)
	dir := t.TempDir()
	_, err = embedded.Start(t.Context(), embedded.Config{Dir: dir, Port: port})
	require.ErrorContains(t, err, fmt.Sprintf("port %d is in use", port))
	require.ErrorContains(t, err, "choose another port")
	brokertest.Start(t, embedded.Config{Dir: dir}) // the failed start gave the directory back

	_, err = embedded.Start(t.Context(), embedded.Config{Port: 70000})
	require.ErrorContains(t, err, "Config.Port is 70000")
}

func TestBroker_damagedData(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, embedded.DataDirName), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, embedded.DataDirName, "meta.json"), []byte("{"), 0o644))
	_, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "meta.json")
	require.ErrorContains(t, err, "restore the directory from a copy")
}

// crashed makes a directory look as after a crash: what an end in order writes is not there.
func crashed(t testing.TB, dir string) {
	t.Helper()
	require.NoError(t, os.Remove(filepath.Join(dir, embedded.CheckpointFile)))
}

func TestBroker_scansFromTheCheckpoint(t *testing.T) {
	dir := t.TempDir()
	produce := func(n int) string {
		var log brokertest.Log
		b, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Logger: log.Logger(), NoSync: true})
		require.NoError(t, err)
		client, err := broker.Connect(t.Context(), broker.Config{Brokers: b.Addrs()})
		require.NoError(t, err)
		require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: "events", Partitions: 1, Kind: broker.EventLog}))
		kafka, err := kgo.NewClient(client.Options()...)
		require.NoError(t, err)
		for i := range n {
			require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: fmt.Append(nil, i)}).FirstErr())
		}
		kafka.Close()
		client.Close()
		require.NoError(t, b.Close())
		return log.String()
	}
	path := filepath.Join(dir, embedded.CheckpointFile)
	edit := func(f func(*embedded.Checkpoint)) {
		c, err := embedded.ReadCheckpoint(path)
		require.NoError(t, err)
		f(&c)
		require.NoError(t, c.Write(path))
	}

	produce(10)
	edit(func(c *embedded.Checkpoint) { c.Clean = false })
	require.Contains(t, produce(5), "scanned=0 ")

	edit(func(c *embedded.Checkpoint) {
		c.Clean = false
		require.Len(t, c.Settled, 1)
		for key, offset := range c.Settled {
			require.EqualValues(t, 15, offset)
			c.Settled[key] = 12
		}
	})
	require.Contains(t, produce(0), "scanned=3 ")

	edit(func(c *embedded.Checkpoint) {
		c.Clean = false
		for key := range c.Settled {
			c.Settled[key] = 1000 // beyond the end: not of this log
		}
	})
	require.Contains(t, produce(0), "scanned=15 ")

	require.NoError(t, os.WriteFile(path, []byte("garbage"), 0o644))
	require.Contains(t, produce(0), "scanned=15 ")

	crashed(t, dir)
	require.Contains(t, produce(0), "scanned=15 ")
	require.NotContains(t, produce(0), "repaired")
}

// TestBroker_openTransactionAtClose covers the end in order with a transaction that is still open: it is aborted, and
// its records do not show in any later run.
func TestBroker_openTransactionAtClose(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	b, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Port: port})
	require.NoError(t, err)
	client := connect(t, b.Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: "events", Partitions: 1, Kind: broker.EventLog}))
	kafka := brokertest.NewKafka(t, b.Addrs(), kgo.TransactionalID("w"))
	commit(t, kafka, "one")
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("open")}).FirstErr())
	require.NoError(t, b.Close())

	for range 3 {
		var log brokertest.Log
		b, err = embedded.Start(t.Context(), embedded.Config{Dir: dir, Port: port, Logger: log.Logger()})
		require.NoError(t, err)
		require.Equal(t, [][]string{{"one"}}, brokertest.Values(t, b.Addrs(), "events"), log.String())
		require.NoError(t, b.Close())
	}
	brokertest.Start(t, embedded.Config{Dir: dir, Port: port})
	next := brokertest.NewKafka(t, b.Addrs(), kgo.TransactionalID("w"))
	commit(t, next, "two")
	require.Equal(t, [][]string{{"one", "two"}}, brokertest.Values(t, b.Addrs(), "events"))
}

// commit writes one record to partition 0 of events in a transaction.
func commit(t testing.TB, kafka *kgo.Client, value string) {
	t.Helper()
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte(value)}).FirstErr())
	require.NoError(t, kafka.EndTransaction(t.Context(), kgo.TryCommit))
}

// TestBroker_refusesTheCommitOfASurvivor covers a client that outlives the broker and asks it, after the restart, to
// commit the transaction that the repair has aborted.
func TestBroker_refusesTheCommitOfASurvivor(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	server := startChild(t, dir, port, os.Stderr)
	client := connect(t, server.addrs)
	require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: "events", Partitions: 1, Kind: broker.EventLog}))
	kafka := brokertest.NewKafka(t, server.addrs, kgo.TransactionalID("w"))
	commit(t, kafka, "one")
	server.close(t) // writes down that the last transaction was committed
	server = startChild(t, dir, port, os.Stderr)

	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("open")}).FirstErr())
	server.kill()
	startChild(t, dir, port, os.Stderr)
	require.ErrorIs(t, kafka.EndTransaction(t.Context(), kgo.TryCommit), kerr.ProducerFenced)
	require.Equal(t, [][]string{{"one"}}, brokertest.Values(t, server.addrs, "events"))

	next := brokertest.NewKafka(t, server.addrs, kgo.TransactionalID("w"))
	commit(t, next, "two")
	require.Equal(t, [][]string{{"one", "two"}}, brokertest.Values(t, server.addrs, "events"))
}

// TestBroker_refusesTheOffsetsOfASurvivor is the same for a transaction of offsets alone, of which the log knows
// nothing.
func TestBroker_refusesTheOffsetsOfASurvivor(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	server := startChild(t, dir, port, os.Stderr)
	client := connect(t, server.addrs)
	require.NoError(t, client.EnsureTopics(t.Context(),
		broker.TopicSpec{Name: crashInput, Partitions: 1, Kind: broker.EventLog},
		broker.TopicSpec{Name: "events", Partitions: 1, Kind: broker.EventLog}))
	kafka := brokertest.NewKafka(t, server.addrs, kgo.TransactionalID("w"))
	commit(t, kafka, "one")
	server.close(t)
	server = startChild(t, dir, port, os.Stderr)

	require.NoError(t, addOffset(t.Context(), kafka, "w", 0, 41))
	request := kmsg.NewPtrEndTxnRequest()
	var err error
	request.TransactionalID, request.Commit = "w", true
	request.ProducerID, request.ProducerEpoch, err = kafka.ProducerID(t.Context())
	require.NoError(t, err)
	server.kill()
	startChild(t, dir, port, os.Stderr)
	response, err := request.RequestWith(t.Context(), kafka)
	require.NoError(t, err)
	require.ErrorIs(t, kerr.ErrorForCode(response.ErrorCode), kerr.ProducerFenced)
}

// TestBroker_completesSegmentIndexes covers a crash between a batch and its index entry. It fails if a new version of
// kfake has other files.
func TestBroker_completesSegmentIndexes(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	b, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Port: port})
	require.NoError(t, err)
	client := connect(t, b.Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: "events", Partitions: 1, Kind: broker.EventLog}))
	kafka := brokertest.NewKafka(t, b.Addrs(), kgo.TransactionalID("w"))
	commit(t, kafka, "one")
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("open")}).FirstErr())
	require.NoError(t, b.Close())

	indexes, err := embedded.PartitionFiles(filepath.Join(dir, embedded.DataDirName), embedded.IndexSuffix)
	require.NoError(t, err)
	require.Len(t, indexes, 1)
	whole, err := os.ReadFile(indexes[0])
	require.NoError(t, err)
	require.Len(t, whole, 3*embedded.IndexEntry, "two batches and a marker")
	require.NoError(t, os.Truncate(indexes[0], 2*embedded.IndexEntry+7))

	mended, err := embedded.CompleteSegmentIndexes(filepath.Join(dir, embedded.DataDirName))
	require.NoError(t, err)
	require.Equal(t, 1, mended)
	now, err := os.ReadFile(indexes[0])
	require.NoError(t, err)
	require.Equal(t, whole[:2*embedded.IndexEntry], now[:2*embedded.IndexEntry])
	require.Equal(t, whole[2*embedded.IndexEntry+embedded.IndexEntry-1], now[2*embedded.IndexEntry+embedded.IndexEntry-1], "flags")
	require.Equal(t, whole[2*embedded.IndexEntry+2:2*embedded.IndexEntry+6], now[2*embedded.IndexEntry+2:2*embedded.IndexEntry+6], "leader epoch")

	require.NoError(t, os.Truncate(indexes[0], 2*embedded.IndexEntry))
	for range 2 {
		b, err = embedded.Start(t.Context(), embedded.Config{Dir: dir, Port: port})
		require.NoError(t, err)
		require.Equal(t, [][]string{{"one"}}, brokertest.Values(t, b.Addrs(), "events"))
		require.NoError(t, b.Close())
		crashed(t, dir)
	}
}

// TestBroker_startIsBoundedByItsContext also shows that a start that fails half way leaves nothing behind.
func TestBroker_startIsBoundedByItsContext(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, startAndClose(t, dir))
	crashed(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := embedded.Start(ctx, embedded.Config{Dir: dir})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "repairing "+dir)
	require.NoError(t, startAndClose(t, dir))
}

func startAndClose(t *testing.T, dir string) error {
	b, err := embedded.Start(t.Context(), embedded.Config{Dir: dir})
	if err != nil {
		return err
	}
	return b.Close()
}

// TestBroker_offsetsGoOnAfterAllRecordsAreDeleted covers the purge of a topic that is fully consumed.
func TestBroker_offsetsGoOnAfterAllRecordsAreDeleted(t *testing.T) {
	for _, test := range []struct {
		name  string
		upTo  int64
		crash bool
	}{
		{"closed", 3, false},
		{"closed, everything", -1, false},
		{"crashed", 3, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, port := t.TempDir(), freePort(t)
			b, err := embedded.Start(t.Context(), embedded.Config{Dir: dir, Port: port})
			require.NoError(t, err)
			client := connect(t, b.Addrs())
			require.NoError(t, client.EnsureTopics(t.Context(), broker.TopicSpec{Name: "between", Partitions: 1, Kind: broker.Repartition}))
			kafka := brokertest.NewKafka(t, b.Addrs())
			for range 3 {
				require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "between"}).FirstErr())
			}
			brokertest.DeleteRecords(t, b.Addrs(), "between", 0, test.upTo)
			start, err := client.StartOffset(t.Context(), "between", 0)
			require.NoError(t, err)
			require.EqualValues(t, 2, start)
			require.NoError(t, b.Close())
			if test.crash {
				crashed(t, dir)
			}
			brokertest.Start(t, embedded.Config{Dir: dir, Port: port})
			end, err := client.EndOffset(t.Context(), "between", 0)
			require.NoError(t, err)
			require.EqualValues(t, 3, end)
		})
	}
}

// TestBroker_finishesACommitThatHadBegun brings about the crash between the first and the second marker of a commit.
func TestBroker_finishesACommitThatHadBegun(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	server := startChild(t, dir, port, os.Stderr)
	client := connect(t, server.addrs)
	require.NoError(t, client.EnsureTopics(t.Context(),
		broker.TopicSpec{Name: crashInput, Partitions: 1, Kind: broker.EventLog},
		broker.TopicSpec{Name: "events", Partitions: 2, Kind: broker.EventLog}))
	kafka := brokertest.NewKafka(t, server.addrs, kgo.TransactionalID("w"))
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(),
		&kgo.Record{Topic: "events", Partition: 0, Value: []byte("half")},
		&kgo.Record{Topic: "events", Partition: 1, Value: []byte("other half")},
	).FirstErr())
	require.NoError(t, addOffset(t.Context(), kafka, "w", 0, 41))
	require.NoError(t, kafka.EndTransaction(t.Context(), kgo.TryCommit))
	server.kill()

	// Take back the second marker and the offset.
	data := filepath.Join(dir, embedded.DataDirName)
	require.NoError(t, os.Truncate(filepath.Join(data, "groups.log"), 0))
	segment := filepath.Join(data, embedded.PartitionsPath, "events-1", "0"+embedded.SegmentSuffix)
	whole, err := os.ReadFile(segment)
	require.NoError(t, err)
	first := 12 + binary.BigEndian.Uint32(whole[embedded.BatchLength:])
	require.Less(t, int(first), len(whole))
	require.NoError(t, os.Truncate(segment, int64(first)))

	var log brokertest.Log
	startChild(t, dir, port, &log)
	// The child's address and its log come on different ways.
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "repaired after a crash") }, 10*time.Second, time.Millisecond)
	require.Contains(t, log.String(), "committed=1 aborted=0")
	require.Equal(t, [][]string{{"half"}, {"other half"}}, brokertest.Values(t, server.addrs, "events"))
	offset, err := committedOffset(t.Context(), brokertest.NewKafka(t, server.addrs), 0)
	require.NoError(t, err)
	require.EqualValues(t, 41, offset)
}

// TestBroker_doesNotFinishARefusedCommit crashes after a stale owner asked for a commit and was refused.
func TestBroker_doesNotFinishARefusedCommit(t *testing.T) {
	for _, test := range []struct {
		name  string
		fence func(t *testing.T, addrs []string)
	}{
		{"taken over", func(t *testing.T, addrs []string) {
			_, _, err := brokertest.NewKafka(t, addrs, kgo.TransactionalID("w")).ProducerID(t.Context())
			require.NoError(t, err)
		}},
		{"timed out", func(t *testing.T, addrs []string) {
			client := connect(t, addrs)
			require.Eventually(t, func() bool {
				end, err := client.EndOffset(t.Context(), "events", 0)
				return err == nil && end == 2
			}, 10*time.Second, 10*time.Millisecond, "the broker aborts")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, port := t.TempDir(), freePort(t)
			server := startChild(t, dir, port, os.Stderr)
			client := connect(t, server.addrs)
			require.NoError(t, client.EnsureTopics(t.Context(),
				broker.TopicSpec{Name: crashInput, Partitions: 1, Kind: broker.EventLog},
				broker.TopicSpec{Name: "events", Partitions: 1, Kind: broker.EventLog}))
			kafka := brokertest.NewKafka(t, server.addrs, kgo.TransactionalID("w"), kgo.TransactionTimeout(time.Second))
			require.NoError(t, kafka.BeginTransaction())
			require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("stale")}).FirstErr())
			require.NoError(t, addOffset(t.Context(), kafka, "w", 0, 41))
			test.fence(t, server.addrs)
			require.ErrorIs(t, kafka.EndTransaction(t.Context(), kgo.TryCommit), kerr.InvalidTxnState, "kfake's word for it")
			server.kill()

			startChild(t, dir, port, os.Stderr)
			require.Equal(t, [][]string{nil}, brokertest.Values(t, server.addrs, "events"))
			offset, err := committedOffset(t.Context(), brokertest.NewKafka(t, server.addrs), 0)
			require.NoError(t, err)
			require.EqualValues(t, 0, offset)
		})
	}
}
