package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// restoredChild in the environment makes the test binary such an instance.
const restoredChild = "MILLRACE_TEST_RESTORED_CHILD"

// restored is an instance in a separate process, with a state that is larger than an engine's memory.
type restored struct {
	Brokers     []string
	App, Source string
	Dir         string
}

const (
	bigValue  = 256 << 10
	bigRows   = 120
	bigState  = bigRows * bigValue
	smallRows = 10
)

// joined is the topology: the value of a key is the concatenation of its records.
func (c restored) joined() (*topology.Topology, error) {
	b := topology.NewBuilder(c.App)
	topology.Source(b, c.Source, codecs.String, codecs.Bytes).GroupByKey().
		Aggregate("joined", func() []byte { return nil }, func(_ string, v, joined []byte) []byte {
			return append(bytes.Clone(joined), v...)
		}, codecs.Bytes)
	return b.Build()
}

// runRestoredChild runs the instance until the process is killed, and prints the progress of its restores.
func runRestoredChild(config string) {
	var c restored
	err := json.Unmarshal([]byte(config), &c)
	if err == nil {
		err = c.run()
	}
	fmt.Fprintln(os.Stderr, "the instance ended:", err)
	os.Exit(1)
}

func (c restored) run() error {
	top, err := c.joined()
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	app, err := processors.New(top, processors.Config{
		Brokers: c.Brokers, Dir: c.Dir, CommitInterval: 10 * time.Millisecond, SessionTimeout: 2 * time.Second,
		MemoryBytes: 128 << 20, // for memtables that hold a part of the state
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Hooks: processors.Hooks{RestoreProgress: func(p processors.RestoreProgress) {
			if err := out.Encode(p); err != nil {
				panic(err) // nobody reads: the test is over
			}
		}},
	})
	if err != nil {
		return err
	}
	return app.Run(context.Background())
}

// restoredProcess is such an instance, running.
type restoredProcess struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func (c restored) start(t *testing.T) *restoredProcess {
	t.Helper()
	config, err := json.Marshal(c)
	require.NoError(t, err)
	p := &restoredProcess{cmd: exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])}
	p.cmd.Env = append(os.Environ(), restoredChild+"="+string(config))
	if testing.Verbose() {
		p.cmd.Stderr = t.Output()
	}
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	p.lines = bufio.NewScanner(out)
	t.Cleanup(p.kill)
	return p
}

// kill ends the process with SIGKILL. It may be called again.
func (p *restoredProcess) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// until reads the progress of the instance's restore up to the first that satisfies.
func (p *restoredProcess) until(t *testing.T, satisfies func(processors.RestoreProgress) bool) processors.RestoreProgress {
	t.Helper()
	for p.lines.Scan() {
		var progress processors.RestoreProgress
		require.NoError(t, json.Unmarshal(p.lines.Bytes(), &progress))
		if satisfies(progress) {
			return progress
		}
	}
	t.Fatalf("the instance ended before it got so far: %v", p.lines.Err())
	return processors.RestoreProgress{}
}

func isDone(p processors.RestoreProgress) bool { return p.Done }

// committed waits until the group has committed offset n.
func (c restored) committed(t *testing.T, admin *kadm.Client, n int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		offsets, err := admin.FetchOffsets(t.Context(), c.App+"-joined")
		if err != nil {
			return false
		}
		offset, ok := offsets.Lookup(c.Source, 0)
		return ok && offset.At >= n
	}, time.Minute, 10*time.Millisecond)
}

// A killed instance restores only what it had not written to its disk. An instance without that disk restores
// everything. A killed restore goes on where it was.
func TestRestore_killedInstances(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	instance := restored{Brokers: c.brokers, App: unique("restored"), Source: unique("values"), Dir: t.TempDir()}
	c.createSized(t, 1, instance.Source)
	produce := func(from, n int, value []byte) {
		for i := range n {
			require.NoError(t, c.kafka.ProduceSync(t.Context(), &kgo.Record{
				Topic: instance.Source, Key: fmt.Appendf(nil, "key %d", from+i), Value: value,
			}).FirstErr())
		}
	}

	p := instance.start(t)
	p.until(t, isDone)
	value := make([]byte, bigValue) // that cannot be compressed: fetches are bounded as they come over the wire
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	produce(0, bigRows, value)
	instance.committed(t, c.admin, bigRows)
	produce(bigRows, smallRows, []byte("v"))
	instance.committed(t, c.admin, bigRows+smallRows)
	p.kill()

	p = instance.start(t)
	tail := p.until(t, isDone)
	p.kill()
	t.Logf("with the old disk: %+v", tail)
	require.Positive(t, tail.Start, "it knows where its state ends")
	require.Less(t, tail.Start, tail.End)
	require.Less(t, tail.Bytes, int64(bigState/2), "it restores what the engine had in memory")

	elsewhere := instance
	elsewhere.Dir = t.TempDir()
	p = elsewhere.start(t)
	half := p.until(t, func(p processors.RestoreProgress) bool { return p.Bytes > bigState/2 })
	require.False(t, half.Done, "it is killed before the end")
	p.kill()
	t.Logf("killed on the way: %+v", half)
	require.Zero(t, half.Start)

	p = elsewhere.start(t)
	rest := p.until(t, isDone)
	p.kill()
	t.Logf("goes on: %+v", rest)
	require.Positive(t, rest.Start)
	require.Less(t, rest.Bytes, int64(bigState))

	require.NoError(t, os.RemoveAll(elsewhere.Dir))
	p = elsewhere.start(t)
	all := p.until(t, isDone)
	t.Logf("without a disk: %+v", all)
	require.Zero(t, all.Start)
	require.GreaterOrEqual(t, all.Bytes, int64(bigState))
	require.Equal(t, all.End, all.Next)
	require.Zero(t, all.Remaining)
	require.Positive(t, all.Rate)

	// The state that was put together from all this is the right one: what comes now is added to it.
	produce(0, bigRows+smallRows, []byte("!"))
	instance.committed(t, c.admin, 2*(bigRows+smallRows))
	p.kill()
	top, err := elsewhere.joined()
	require.NoError(t, err)
	requireJoined(t, c, top)
}

// requireJoined compares a view of the application with the produced records.
func requireJoined(t *testing.T, c *cluster, top *topology.Topology) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	vs, err := views.Open(ctx, views.Config{Brokers: c.brokers, Dir: t.TempDir()}, top.Tables()...)
	require.NoError(t, err)
	joined, err := views.KeyValue(vs, "joined", codecs.String, codecs.Bytes)
	require.NoError(t, err)
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { ended <- vs.Run(running) }()
	select {
	case <-vs.Ready():
	case err := <-ended:
		t.Fatal("the view ended", err)
	}
	rows := 0
	for entry, err := range joined.Range(ctx, nil, nil) {
		require.NoError(t, err)
		rows++
		size := len(entry.Value)
		require.True(t, size == bigValue+1 || size == 2, "%s has %d bytes", entry.Key, size)
		require.Equal(t, byte('!'), entry.Value[size-1])
	}
	require.Equal(t, bigRows+smallRows, rows)
	stop()
	require.NoError(t, <-ended)
}
