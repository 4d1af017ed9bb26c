package broker

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
)

func TestEmbedded_inMemoryIsGoneWithTheBroker(t *testing.T) {
	b, err := StartEmbedded(t.Context(), EmbeddedConfig{})
	require.NoError(t, err)
	host, port, err := net.SplitHostPort(b.Addrs()[0])
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", host)
	require.NotEqual(t, "0", port)

	client := connect(t, b.Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "events", Kind: EventLog}))
	count, err := client.Partitions(t.Context(), "events")
	require.NoError(t, err)
	require.EqualValues(t, embeddedPartitions, count)

	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "a second Close")
	_, err = net.Dial("tcp", b.Addrs()[0])
	require.Error(t, err)
}

func TestEmbedded_keepsEverythingFromRunToRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "[yet]")
	var clusterID string
	var topicID [16]byte
	for run := range 3 {
		var log logBuffer
		b, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir, Logger: log.logger()})
		require.NoError(t, err)
		require.NotContains(t, log.String(), "repaired", "run %d", run)
		require.Contains(t, log.String(), "for production use a Kafka cluster")
		client, err := Connect(t.Context(), Config{Brokers: b.Addrs()})
		require.NoError(t, err)
		require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "events", Partitions: 2, Kind: EventLog}))
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
	require.NotEqual(t, clusterID, connect(t, startBroker(t, EmbeddedConfig{}).Addrs()).ClusterID())
}

func TestEmbedded_directoryInUse(t *testing.T) {
	dir := t.TempDir()
	startBroker(t, EmbeddedConfig{Dir: dir})
	_, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "process "+strconv.Itoa(os.Getpid()))
	require.ErrorContains(t, err, "choose another directory")
}

func TestEmbedded_directoryInUseByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	other := startChild(t, dir, 0, os.Stderr)
	_, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, "process "+strconv.Itoa(other.cmd.Process.Pid))
	other.kill()
	startBroker(t, EmbeddedConfig{Dir: dir})
}

func TestEmbedded_directoryCannotBeWritten(t *testing.T) {
	// A file in its place, since for root every directory can be written.
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir})
		require.ErrorContains(t, err, "creating the data directory")
		require.ErrorContains(t, err, file)
		require.ErrorContains(t, err, "not a directory")
		require.ErrorContains(t, err, "choose a directory that can be written")
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, lockFile), 0o755))
	_, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir})
	require.ErrorContains(t, err, "locking the data directory")
	require.ErrorContains(t, err, "choose a directory that can be written")
}

func TestEmbedded_portInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	port := portOf(t, listener)
	dir := t.TempDir()
	_, err = StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir, Port: port})
	require.ErrorContains(t, err, fmt.Sprintf("port %d is in use", port))
	require.ErrorContains(t, err, "choose another port")
	startBroker(t, EmbeddedConfig{Dir: dir}) // the failed start gave the directory back

	_, err = StartEmbedded(t.Context(), EmbeddedConfig{Port: 70000})
	require.ErrorContains(t, err, "EmbeddedConfig.Port is 70000")
}

func TestEmbedded_damagedData(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, dataDirName), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, dataDirName, "meta.json"), []byte("{"), 0o644))
	_, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir})
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "meta.json")
	require.ErrorContains(t, err, "restore the directory from a copy")
}

// crashed makes a directory look as after a crash: what an end in order writes
// is not there.
func crashed(t testing.TB, dir string) {
	t.Helper()
	require.NoError(t, os.Remove(filepath.Join(dir, checkpointFile)))
}

func TestEmbedded_scansFromTheCheckpoint(t *testing.T) {
	dir := t.TempDir()
	produce := func(n int) string {
		var log logBuffer
		b, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir, Logger: log.logger(), NoSync: true})
		require.NoError(t, err)
		client, err := Connect(t.Context(), Config{Brokers: b.Addrs()})
		require.NoError(t, err)
		require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "events", Partitions: 1, Kind: EventLog}))
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
	path := filepath.Join(dir, checkpointFile)
	edit := func(f func(*checkpoint)) {
		c, err := readCheckpoint(path)
		require.NoError(t, err)
		f(&c)
		require.NoError(t, c.write(path))
	}

	produce(10)
	edit(func(c *checkpoint) { c.Clean = false })
	require.Contains(t, produce(5), "scanned=0 ")

	edit(func(c *checkpoint) {
		c.Clean = false
		require.Len(t, c.Settled, 1)
		for key, offset := range c.Settled {
			require.EqualValues(t, 15, offset)
			c.Settled[key] = 12
		}
	})
	require.Contains(t, produce(0), "scanned=3 ")

	edit(func(c *checkpoint) {
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

// TestEmbedded_openTransactionAtClose covers the end in order with a
// transaction that is still open: it is aborted, and its records do not show
// in any later run.
func TestEmbedded_openTransactionAtClose(t *testing.T) {
	dir := t.TempDir()
	port := freePort(t)
	b, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir, Port: port})
	require.NoError(t, err)
	client := connect(t, b.Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "events", Partitions: 1, Kind: EventLog}))
	kafka := newKafka(t, b.Addrs(), kgo.TransactionalID("w"))
	commit(t, kafka, "one")
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("open")}).FirstErr())
	require.NoError(t, b.Close())

	for range 3 {
		var log logBuffer
		b, err = StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir, Port: port, Logger: log.logger()})
		require.NoError(t, err)
		require.Equal(t, [][]string{{"one"}}, readCommitted(t, client, "events"), log.String())
		require.NoError(t, b.Close())
	}
	startBroker(t, EmbeddedConfig{Dir: dir, Port: port})
	next := newKafka(t, b.Addrs(), kgo.TransactionalID("w"))
	commit(t, next, "two")
	require.Equal(t, [][]string{{"one", "two"}}, readCommitted(t, client, "events"))
}

// commit writes one record to partition 0 of events in a transaction.
func commit(t testing.TB, kafka *kgo.Client, value string) {
	t.Helper()
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte(value)}).FirstErr())
	require.NoError(t, kafka.EndTransaction(t.Context(), kgo.TryCommit))
}

// TestEmbedded_refusesTheCommitOfASurvivor covers a client that outlives the
// broker and asks it, after the restart, to commit the transaction that the
// repair has aborted.
func TestEmbedded_refusesTheCommitOfASurvivor(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	broker := startChild(t, dir, port, os.Stderr)
	client := connect(t, broker.addrs)
	require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "events", Partitions: 1, Kind: EventLog}))
	kafka := newKafka(t, broker.addrs, kgo.TransactionalID("w"))
	commit(t, kafka, "one")
	broker.close(t) // writes down that the last transaction was committed
	broker = startChild(t, dir, port, os.Stderr)

	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("open")}).FirstErr())
	broker.kill()
	startChild(t, dir, port, os.Stderr)
	require.ErrorIs(t, kafka.EndTransaction(t.Context(), kgo.TryCommit), kerr.ProducerFenced)
	require.Equal(t, [][]string{{"one"}}, readCommitted(t, client, "events"))

	next := newKafka(t, broker.addrs, kgo.TransactionalID("w"))
	commit(t, next, "two")
	require.Equal(t, [][]string{{"one", "two"}}, readCommitted(t, client, "events"))
}

// TestEmbedded_refusesTheOffsetsOfASurvivor is the same for a transaction of
// offsets alone, of which the log knows nothing.
func TestEmbedded_refusesTheOffsetsOfASurvivor(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	broker := startChild(t, dir, port, os.Stderr)
	client := connect(t, broker.addrs)
	require.NoError(t, client.EnsureTopics(t.Context(),
		TopicSpec{Name: crashInput, Partitions: 1, Kind: EventLog},
		TopicSpec{Name: "events", Partitions: 1, Kind: EventLog}))
	kafka := newKafka(t, broker.addrs, kgo.TransactionalID("w"))
	commit(t, kafka, "one")
	broker.close(t)
	broker = startChild(t, dir, port, os.Stderr)

	require.NoError(t, addOffset(t.Context(), kafka, "w", 0, 41))
	request := kmsg.NewPtrEndTxnRequest()
	var err error
	request.TransactionalID, request.Commit = "w", true
	request.ProducerID, request.ProducerEpoch, err = kafka.ProducerID(t.Context())
	require.NoError(t, err)
	broker.kill()
	startChild(t, dir, port, os.Stderr)
	response, err := request.RequestWith(t.Context(), kafka)
	require.NoError(t, err)
	require.ErrorIs(t, kerr.ErrorForCode(response.ErrorCode), kerr.ProducerFenced)
}

// TestEmbedded_mendsIndexes covers a crash between a batch and its index
// entry. It fails if a new version of kfake has other files.
func TestEmbedded_mendsIndexes(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	b, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir, Port: port})
	require.NoError(t, err)
	client := connect(t, b.Addrs())
	require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "events", Partitions: 1, Kind: EventLog}))
	kafka := newKafka(t, b.Addrs(), kgo.TransactionalID("w"))
	commit(t, kafka, "one")
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("open")}).FirstErr())
	require.NoError(t, b.Close())

	indexes, err := partitionFiles(filepath.Join(dir, dataDirName), indexSuffix)
	require.NoError(t, err)
	require.Len(t, indexes, 1)
	whole, err := os.ReadFile(indexes[0])
	require.NoError(t, err)
	require.Len(t, whole, 3*indexEntry, "two batches and a marker")
	require.NoError(t, os.Truncate(indexes[0], 2*indexEntry+7))

	mended, err := mendIndexes(filepath.Join(dir, dataDirName))
	require.NoError(t, err)
	require.Equal(t, 1, mended)
	now, err := os.ReadFile(indexes[0])
	require.NoError(t, err)
	require.Equal(t, whole[:2*indexEntry], now[:2*indexEntry])
	require.Equal(t, whole[2*indexEntry+indexEntry-1], now[2*indexEntry+indexEntry-1], "flags")
	require.Equal(t, whole[2*indexEntry+2:2*indexEntry+6], now[2*indexEntry+2:2*indexEntry+6], "leader epoch")

	require.NoError(t, os.Truncate(indexes[0], 2*indexEntry))
	for range 2 {
		b, err = StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir, Port: port})
		require.NoError(t, err)
		require.Equal(t, [][]string{{"one"}}, readCommitted(t, client, "events"))
		require.NoError(t, b.Close())
		crashed(t, dir)
	}
}

// TestEmbedded_startIsBoundedByItsContext also shows that a start that fails
// half way leaves nothing behind.
func TestEmbedded_startIsBoundedByItsContext(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, startAndClose(t, dir))
	crashed(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := StartEmbedded(ctx, EmbeddedConfig{Dir: dir})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "repairing "+dir)
	require.NoError(t, startAndClose(t, dir))
}

func startAndClose(t *testing.T, dir string) error {
	b, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir})
	if err != nil {
		return err
	}
	return b.Close()
}

// TestEmbedded_gateHoldsClientsBack shows that who connects early is served
// after the repair, not during it.
func TestEmbedded_gateHoldsClientsBack(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := newGate(tcp)
	outside, err := net.Dial("tcp", tcp.Addr().String())
	require.NoError(t, err)
	defer outside.Close()

	accepted := make(chan net.Conn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := g.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	go func() {
		conn, err := g.dial(context.Background(), "tcp", "anywhere")
		if err == nil {
			conn.Close()
		}
	}()
	inside := <-accepted
	require.Equal(t, "pipe", inside.RemoteAddr().Network(), "the client from outside came first and still waits")
	inside.Close()

	g.open()
	conn := <-accepted
	require.Equal(t, outside.LocalAddr().String(), conn.RemoteAddr().String())
	conn.Close()

	require.NoError(t, g.Close())
	require.NoError(t, tcp.Close())
	g.wait()
	<-done
	_, err = g.dial(t.Context(), "tcp", "anywhere")
	require.ErrorIs(t, err, net.ErrClosed)
}

// TestEmbedded_offsetsGoOnAfterAllRecordsAreDeleted covers the purge of a
// topic that is fully consumed.
func TestEmbedded_offsetsGoOnAfterAllRecordsAreDeleted(t *testing.T) {
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
			b, err := StartEmbedded(t.Context(), EmbeddedConfig{Dir: dir, Port: port})
			require.NoError(t, err)
			client := connect(t, b.Addrs())
			require.NoError(t, client.EnsureTopics(t.Context(), TopicSpec{Name: "between", Partitions: 1, Kind: Repartition}))
			kafka := newKafka(t, b.Addrs())
			for range 3 {
				require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "between"}).FirstErr())
			}
			require.NoError(t, deleteRecords(t.Context(), client, map[string]map[int32]int64{"between": {0: test.upTo}}))
			start, err := client.StartOffset(t.Context(), "between", 0)
			require.NoError(t, err)
			require.EqualValues(t, 2, start)
			require.NoError(t, b.Close())
			if test.crash {
				crashed(t, dir)
			}
			startBroker(t, EmbeddedConfig{Dir: dir, Port: port})
			end, err := client.EndOffset(t.Context(), "between", 0)
			require.NoError(t, err)
			require.EqualValues(t, 3, end)
		})
	}
}

// TestEmbedded_finishesACommitThatHadBegun brings about the crash between the
// first and the second marker of a commit.
func TestEmbedded_finishesACommitThatHadBegun(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	broker := startChild(t, dir, port, os.Stderr)
	client := connect(t, broker.addrs)
	require.NoError(t, client.EnsureTopics(t.Context(),
		TopicSpec{Name: crashInput, Partitions: 1, Kind: EventLog},
		TopicSpec{Name: "events", Partitions: 2, Kind: EventLog}))
	kafka := newKafka(t, broker.addrs, kgo.TransactionalID("w"))
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(),
		&kgo.Record{Topic: "events", Partition: 0, Value: []byte("half")},
		&kgo.Record{Topic: "events", Partition: 1, Value: []byte("other half")},
	).FirstErr())
	require.NoError(t, addOffset(t.Context(), kafka, "w", 0, 41))
	require.NoError(t, kafka.EndTransaction(t.Context(), kgo.TryCommit))
	broker.kill()

	// Take back the second marker and the offset.
	data := filepath.Join(dir, dataDirName)
	require.NoError(t, os.Truncate(filepath.Join(data, "groups.log"), 0))
	segment := filepath.Join(data, partitionsPath, "events-1", "0"+segmentSuffix)
	whole, err := os.ReadFile(segment)
	require.NoError(t, err)
	first := 12 + binary.BigEndian.Uint32(whole[batchLength:])
	require.Less(t, int(first), len(whole))
	require.NoError(t, os.Truncate(segment, int64(first)))

	var log logBuffer
	startChild(t, dir, port, &log)
	// The child's address and its log come on different ways.
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "repaired after a crash") }, 10*time.Second, time.Millisecond)
	require.Contains(t, log.String(), "committed=1 aborted=0")
	require.Equal(t, [][]string{{"half"}, {"other half"}}, readCommitted(t, client, "events"))
	offset, err := committedOffset(t.Context(), newKafka(t, broker.addrs), 0)
	require.NoError(t, err)
	require.EqualValues(t, 41, offset)
}

// TestEmbedded_doesNotFinishARefusedCommit crashes after a stale owner asked
// for a commit and was refused.
func TestEmbedded_doesNotFinishARefusedCommit(t *testing.T) {
	for _, test := range []struct {
		name  string
		fence func(t *testing.T, addrs []string)
	}{
		{"taken over", func(t *testing.T, addrs []string) {
			_, _, err := newKafka(t, addrs, kgo.TransactionalID("w")).ProducerID(t.Context())
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
			broker := startChild(t, dir, port, os.Stderr)
			client := connect(t, broker.addrs)
			require.NoError(t, client.EnsureTopics(t.Context(),
				TopicSpec{Name: crashInput, Partitions: 1, Kind: EventLog},
				TopicSpec{Name: "events", Partitions: 1, Kind: EventLog}))
			kafka := newKafka(t, broker.addrs, kgo.TransactionalID("w"), kgo.TransactionTimeout(time.Second))
			require.NoError(t, kafka.BeginTransaction())
			require.NoError(t, kafka.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("stale")}).FirstErr())
			require.NoError(t, addOffset(t.Context(), kafka, "w", 0, 41))
			test.fence(t, broker.addrs)
			require.ErrorIs(t, kafka.EndTransaction(t.Context(), kgo.TryCommit), kerr.InvalidTxnState, "kfake's word for it")
			broker.kill()

			startChild(t, dir, port, os.Stderr)
			require.Equal(t, [][]string{nil}, readCommitted(t, client, "events"))
			offset, err := committedOffset(t.Context(), newKafka(t, broker.addrs), 0)
			require.NoError(t, err)
			require.EqualValues(t, 0, offset)
		})
	}
}
