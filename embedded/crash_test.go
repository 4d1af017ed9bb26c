package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
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

// What the child process is told by its environment.
const (
	childDir    = "MILLRACE_TEST_BROKER_DIR"
	childPort   = "MILLRACE_TEST_BROKER_PORT"
	childNoSync = "MILLRACE_TEST_BROKER_NOSYNC"
)

// serveChild is the main function of the broker process: it serves until its standard input ends, or until it is
// killed.
func serveChild(dir string) {
	port, _ := strconv.Atoi(os.Getenv(childPort))
	b, err := embedded.Start(context.Background(), embedded.Config{
		Dir:    dir,
		Port:   port,
		NoSync: os.Getenv(childNoSync) != "",
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("ready", b.Addrs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := b.Close(); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// child is a broker in a process of its own.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	addrs []string
}

// startChild starts a broker process and waits until it serves.
func startChild(t testing.TB, dir string, port int, log io.Writer, env ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childPort+"="+strconv.Itoa(port))
	cmd.Env = append(cmd.Env, env...)
	cmd.Stderr = log
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	c := &child{cmd: cmd, stdin: stdin}
	t.Cleanup(c.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the broker process ended")
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	require.True(t, ok, "the broker process says: %s", line)
	c.addrs = []string{addr}
	return c
}

// kill ends the process as kill -9 does.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()
}

// close ends the process in order.
func (c *child) close(t testing.TB) {
	t.Helper()
	c.stdin.Close()
	require.NoError(t, c.cmd.Wait())
}

// freePort returns a port that was free a moment ago.
func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return portOf(t, listener)
}

func portOf(t testing.TB, listener net.Listener) int {
	t.Helper()
	address, ok := listener.Addr().(*net.TCPAddr)
	require.True(t, ok)
	return address.Port
}

const (
	crashInput      = "input"  // whose offsets are committed
	crashOutput     = "output" // what the workers write
	crashPartitions = 3
	crashGroup      = "workers"
)

// worker is a processor in miniature. It turns input n of its partition into a record in each output partition and
// commits the outputs and the offset n+1 in one transaction. After any failure it takes over again from what is
// committed.
type worker struct {
	id    int32
	addrs []string

	acked int64 // inputs whose commit was acknowledged
	begun int64 // inputs whose commit was asked for
}

func (w *worker) run(t testing.TB, stop <-chan struct{}) {
	ctx := t.Context()
	for !closed(stop) {
		if err := w.session(ctx, t, stop); err != nil && !closed(stop) {
			t.Logf("worker %d: %v", w.id, err)
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// session works until the first failure.
func (w *worker) session(ctx context.Context, t testing.TB, stop <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(w.addrs...),
		kgo.TransactionalID(fmt.Sprint("worker-", w.id)),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
	)
	if err != nil {
		return err
	}
	defer kafka.Close()
	if _, _, err := kafka.ProducerID(ctx); err != nil {
		return fmt.Errorf("taking over: %w", err)
	}
	next, err := committedOffset(ctx, kafka, w.id)
	if err != nil {
		return fmt.Errorf("committed offset: %w", err)
	}
	if next < w.acked {
		t.Errorf("worker %d: the commit of input %d was acknowledged, but the committed offset is %d", w.id, w.acked-1, next)
		return nil
	}
	for ; !closed(stop); next++ {
		w.begun = next + 1
		if err := w.work(ctx, kafka, next); err != nil {
			return fmt.Errorf("input %d: %w", next, err)
		}
		w.acked = next + 1
	}
	return nil
}

func (w *worker) work(ctx context.Context, kafka *kgo.Client, n int64) error {
	if err := kafka.BeginTransaction(); err != nil {
		return err
	}
	var records []*kgo.Record
	for p := range int32(crashPartitions) {
		records = append(records, &kgo.Record{Topic: crashOutput, Partition: p, Value: fmt.Appendf(nil, "%d/%d", w.id, n)})
	}
	if err := kafka.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	if err := addOffset(ctx, kafka, fmt.Sprint("worker-", w.id), w.id, n+1); err != nil {
		return err
	}
	return kafka.EndTransaction(ctx, kgo.TryCommit)
}

// addOffset adds an input offset to the open transaction.
func addOffset(ctx context.Context, kafka *kgo.Client, transactionalID string, partition int32, offset int64) error {
	id, epoch, err := kafka.ProducerID(ctx)
	if err != nil {
		return err
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = transactionalID, id, epoch, crashGroup
	added, err := add.RequestWith(ctx, kafka)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return err
	}
	details, err := kadm.NewClient(kafka).ListTopics(ctx, crashInput)
	if err != nil {
		return err
	}
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Partition, part.Offset = partition, offset
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = crashInput, details[crashInput].ID
	topic.Partitions = append(topic.Partitions, part)
	commit := kmsg.NewPtrTxnOffsetCommitRequest()
	commit.TransactionalID, commit.Group = transactionalID, crashGroup
	commit.ProducerID, commit.ProducerEpoch, commit.Generation = id, epoch, -1
	commit.Topics = append(commit.Topics, topic)
	committed, err := commit.RequestWith(ctx, kafka)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(committed.Topics[0].Partitions[0].ErrorCode)
}

// committedOffset returns the stable input offset of a worker, 0 if none.
func committedOffset(ctx context.Context, kafka *kgo.Client, partition int32) (int64, error) {
	offsets, err := kadm.NewClient(kafka).FetchOffsets(ctx, crashGroup)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return 0, err
	}
	offset, ok := offsets.Lookup(crashInput, partition)
	if !ok {
		return 0, nil
	}
	return max(offset.At, 0), offset.Err
}

// TestCrash kills the broker process again and again while exactly-once workers, which outlive it, write to it and
// somebody else leaves a transaction dangling. At the end every input must have had its effect exactly once in every
// output partition, also after two more restarts.
func TestCrash(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
	}{
		{"synced", nil},
		{"unsynced", []string{childNoSync + "=1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // it mostly waits for processes
			testCrash(t, test.env)
		})
	}
}

func testCrash(t *testing.T, env []string) {
	rounds := 8
	if testing.Short() {
		rounds = 3
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	var log brokertest.Log
	dir, port := t.TempDir(), freePort(t)
	server := startChild(t, dir, port, &log, env...)
	admin := connect(t, server.addrs)
	require.NoError(t, admin.EnsureTopics(t.Context(),
		broker.TopicSpec{Name: crashInput, Partitions: crashPartitions, Kind: broker.Stream},
		broker.TopicSpec{Name: crashOutput, Partitions: crashPartitions, Kind: broker.EventLog}))

	workers := make([]*worker, crashPartitions)
	stop := make(chan struct{})
	var running sync.WaitGroup
	for i := range workers {
		workers[i] = &worker{id: int32(i), addrs: server.addrs}
		running.Go(func() { workers[i].run(t, stop) })
	}
	end := sync.OnceFunc(func() {
		close(stop)
		running.Wait()
	})
	t.Cleanup(end)

	for range rounds {
		dangle(t, server.addrs)
		wait(t, time.Duration(50+random.IntN(250))*time.Millisecond)
		server.kill()
		server = startChild(t, dir, port, &log, env...)
	}
	wait(t, 200*time.Millisecond)
	end()

	dangle(t, server.addrs)
	verifyCrash(t, server.addrs, workers)
	server.kill()
	server = startChild(t, dir, port, &log, env...)
	verifyCrash(t, server.addrs, workers)
	server.close(t)
	server = startChild(t, dir, port, &log, env...)
	verifyCrash(t, server.addrs, workers)
	server.close(t)

	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "repaired") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// wait lets the workers work. It ends early only when the test does.
func wait(t testing.TB, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// dangle leaves a transaction open.
func dangle(t testing.TB, addrs []string) {
	t.Helper()
	kafka := brokertest.NewKafka(t, addrs, kgo.TransactionalID("dangling"))
	require.NoError(t, kafka.BeginTransaction())
	require.NoError(t, kafka.ProduceSync(t.Context(),
		&kgo.Record{Topic: crashOutput, Partition: 0, Value: []byte("dangling")},
		&kgo.Record{Topic: crashOutput, Partition: 1, Value: []byte("dangling")},
	).FirstErr())
	require.NoError(t, addOffset(t.Context(), kafka, "dangling", 0, 1<<40))
}

func verifyCrash(t *testing.T, addrs []string, workers []*worker) {
	t.Helper()
	// The dangling transaction would hold the readers back.
	fence := brokertest.NewKafka(t, addrs, kgo.TransactionalID("dangling"))
	_, _, err := fence.ProducerID(t.Context())
	require.NoError(t, err)

	values := brokertest.Values(t, addrs, crashOutput)
	for _, w := range workers {
		next, err := committedOffset(t.Context(), fence, w.id)
		require.NoError(t, err)
		require.GreaterOrEqual(t, next, w.acked, "worker %d: acknowledged inputs", w.id)
		require.LessOrEqual(t, next, w.begun, "worker %d: inputs asked for", w.id)
		for p, values := range values {
			seen := int64(0)
			for _, value := range values {
				if !strings.HasPrefix(value, fmt.Sprint(w.id, "/")) {
					continue
				}
				require.Equal(t, fmt.Sprintf("%d/%d", w.id, seen), value, "partition %d: output of worker %d", p, w.id)
				seen++
			}
			require.Equal(t, next, seen, "partition %d: outputs of worker %d", p, w.id)
		}
	}
	for p, values := range values {
		require.NotContains(t, values, "dangling", "partition %d", p)
	}
}
