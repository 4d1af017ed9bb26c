package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/internal/murmur2"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

const (
	runtimePartitions = 3
	runtimeRecords    = 400 // in all topics of a run together
)

// TestRuntime runs the programs of the recordings as applications, on a broker of its own with several partitions, and
// stops, moves and overtakes their tasks at random points while they work. What they have written in the end must be
// what their operators answer when nothing disturbs them, and that is what TestRecorded compares with Kafka Streams.
//
// MILLRACE_SEEDS=n runs n seeds of each program. Without it, one in three programs runs with one seed: all of them take
// minutes with the race detector, and CI runs them beside the other tests.
func TestRuntime(t *testing.T) {
	all := programs(t)
	saboteur := newSaboteur(t)
	t.Cleanup(func() {
		t.Logf("tasks were overtaken %d times", saboteur.strikes.Load())
		require.Positive(t, saboteur.strikes.Load())
	})
	for i, id := range slices.Sorted(maps.Keys(all)) {
		if os.Getenv(seedsVariable) == "" && i%3 != 0 {
			continue
		}
		if reason, ok := notRun()[id]; ok {
			t.Logf("%s is not run: %s", id, reason)
			continue
		}
		for _, seed := range runtimeSeeds(t) {
			t.Run(fmt.Sprintf("%s/seed=%d", id, seed), func(t *testing.T) {
				t.Parallel()
				s := newSite(t, build(t, all[id]), seed, saboteur)
				s.produce(t)
				s.runDisturbed(t)
				if settles()[id] {
					s.compareSettled(t)
				} else {
					s.compare(t)
				}
			})
		}
	}
}

// notRun names the programs whose outputs depend on when they run, with the reason.
func notRun() map[string]string {
	return map[string]string{
		"punctuate-wall-clock": "its outputs depend on the time of day, and on where commits are when it is overtaken",
	}
}

// site is one application with its broker and its topics.
type site struct {
	top      *topology.Topology
	brokers  []string
	client   *kgo.Client
	admin    *kadm.Client
	dir      string
	dice     *rand.Rand
	saboteur *saboteur
	input    []*kgo.Record                  // in the order in which it was produced
	ends     map[state.TopicPartition]int64 // of the sources
}

func newSite(t *testing.T, top *topology.Topology, seed uint64, saboteur *saboteur) *site {
	t.Helper()
	b := brokertest.Start(t, embedded.Config{Dir: t.TempDir(), NoSync: true})
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s := &site{
		top: top, brokers: b.Addrs(), client: client, admin: kadm.NewClient(client), dir: t.TempDir(),
		dice: rand.New(rand.NewPCG(seed, 7)), saboteur: saboteur, ends: make(map[state.TopicPartition]int64),
	}
	responses, err := s.admin.CreateTopics(t.Context(), runtimePartitions, 1, nil, append(s.sources(), "out")...)
	require.NoError(t, err)
	require.NoError(t, responses.Error())
	return s
}

// sources returns the topics that the application reads and does not write.
func (s *site) sources() (topics []string) {
	for _, sub := range s.top.SubTopologies() {
		for _, in := range sub.Inputs() {
			if !in.Repartition {
				topics = append(topics, in.Topic)
			}
		}
	}
	for _, g := range s.top.Globals() {
		topics = append(topics, g.Topic)
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// produce writes all input before anything runs: then nothing but timestamps and offsets decides in which order a task
// takes the records of its sources.
func (s *site) produce(t *testing.T) {
	t.Helper()
	sources, now := s.sources(), int64(0)
	for i := range runtimeRecords {
		r := &kgo.Record{Topic: sources[s.dice.IntN(len(sources))], Partition: s.dice.Int32N(runtimePartitions)}
		if s.dice.IntN(12) > 0 {
			r.Key = []byte{byte('A' + s.dice.IntN(8))}
			r.Partition = murmur2.Partition(r.Key, runtimePartitions)
		}
		if s.dice.IntN(8) > 0 {
			r.Value = fmt.Appendf(nil, "%c%d", "abcdefx"[s.dice.IntN(7)], i%100)
		}
		var timestamp int64
		switch n := s.dice.IntN(10); {
		case n < 6:
			now += int64(s.dice.IntN(3)) * 1000
			timestamp = now
		case n < 9:
			timestamp = max(0, now-int64(s.dice.IntN(13))*1000)
		default:
			now += int64(5+s.dice.IntN(20)) * 1000
			timestamp = now
		}
		r.Timestamp = time.UnixMilli(timestamp)
		if s.dice.IntN(4) == 0 {
			r.Headers = []kgo.RecordHeader{{Key: "n", Value: []byte{byte('0' + s.dice.IntN(10))}}}
		}
		s.input = append(s.input, r)
	}
	require.NoError(t, s.client.ProduceSync(t.Context(), s.input...).FirstErr())
	for _, r := range s.input {
		tp := state.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		s.ends[tp] = max(s.ends[tp], r.Offset+1)
	}
}

// runDisturbed runs the application until it has processed everything. It is started anew several times, with other
// commit points, now and then without the state on its disk, and while it runs the saboteur overtakes its tasks.
func (s *site) runDisturbed(t *testing.T) {
	t.Helper()
	for range 2 + s.dice.IntN(3) {
		dir := filepath.Join(s.dir, "state")
		if s.dice.IntN(3) == 0 {
			require.NoError(t, os.RemoveAll(dir))
		}
		stop := s.start(t, dir)
		s.awaitProgress(t)
		stop()
	}
	stop := s.start(t, filepath.Join(s.dir, "state"))
	s.awaitEnd(t)
	stop()
}

func (s *site) start(t *testing.T, dir string) (stop func()) {
	t.Helper()
	app, err := processors.New(s.top, processors.Config{
		Brokers: s.brokers, Dir: dir, HandoverTimeout: -1,
		CommitInterval: time.Duration(1+s.dice.IntN(20)) * time.Millisecond, CommitRecords: int64(1 + s.dice.IntN(12)),
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	s.saboteur.add(s)
	return func() {
		s.saboteur.remove(s)
		cancel()
		require.NoError(t, <-done)
	}
}

const (
	waitLong = 3 * time.Minute
	tick     = 20 * time.Millisecond
)

// await asks again and again until done says so. Unlike require.Eventually it does so on the goroutine of the test,
// which done may therefore fail.
func await(t *testing.T, done func() bool) {
	t.Helper()
	ticker, deadline := time.NewTicker(tick), time.After(waitLong)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-deadline:
			require.FailNow(t, "it takes too long")
		}
	}
}

// awaitProgress waits until some task has committed something, unless there is nothing left to do.
func (s *site) awaitProgress(t *testing.T) {
	t.Helper()
	before := s.progress(t)
	await(t, func() bool { return s.progress(t) > before || s.atEnd(t) })
}

// progress returns the sum of all committed offsets.
func (s *site) progress(t *testing.T) (sum int64) {
	t.Helper()
	for _, sub := range s.top.SubTopologies() {
		for _, offset := range s.committed(t, sub) {
			sum += offset
		}
	}
	return sum
}

// awaitEnd waits until the tasks have committed their whole input. Sub-topologies may write to each other: the end is
// reached only if no task had anything left to do twice in a row and nothing was written in between.
func (s *site) awaitEnd(t *testing.T) {
	t.Helper()
	before := int64(-1)
	await(t, func() bool {
		if !s.atEnd(t) {
			before = -1
			return false
		}
		now := s.progress(t)
		done := now == before
		before = now
		return done
	})
}

// atEnd says whether the tasks have committed everything that there is to read. It looks at the sources first, which
// are known.
func (s *site) atEnd(t *testing.T) bool {
	t.Helper()
	return s.committedAll(t, func(tp state.TopicPartition) int64 { return s.ends[tp] }) &&
		s.committedAll(t, func(tp state.TopicPartition) int64 { return s.lastOffset(t, tp) + 1 })
}

// committedAll says whether the tasks have committed all inputs up to end.
func (s *site) committedAll(t *testing.T, end func(state.TopicPartition) int64) bool {
	t.Helper()
	for _, sub := range s.top.SubTopologies() {
		committed := s.committed(t, sub)
		for _, in := range sub.Inputs() {
			for p := range int32(runtimePartitions) {
				tp := state.TopicPartition{Topic: in.Topic, Partition: p}
				if committed[tp] < end(tp) {
					return false
				}
			}
		}
	}
	return true
}

// committed returns the offsets that the group of sub has committed.
func (s *site) committed(t *testing.T, sub *topology.SubTopology) map[state.TopicPartition]int64 {
	t.Helper()
	responses, err := s.admin.FetchOffsets(t.Context(), sub.Group())
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil
	}
	require.NoError(t, err)
	offsets := make(map[state.TopicPartition]int64)
	responses.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil {
			offsets[state.TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.At
		}
	})
	return offsets
}

// lastOffset returns the offset of the last record of a partition that is committed, -1 if there is none.
func (s *site) lastOffset(t *testing.T, tp state.TopicPartition) int64 {
	t.Helper()
	records := s.log(t, tp)
	if len(records) == 0 {
		return -1
	}
	return records[len(records)-1].Offset
}

// log returns all committed records of a partition, including records of the runtime. A topic that does not exist yet
// has none.
func (s *site) log(t *testing.T, tp state.TopicPartition) []*kgo.Record {
	t.Helper()
	ends, err := s.admin.ListCommittedOffsets(t.Context(), tp.Topic)
	require.NoError(t, err)
	end, ok := ends.Lookup(tp.Topic, tp.Partition)
	if !ok || end.Err != nil || end.Offset == 0 {
		return nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{tp.Topic: {tp.Partition: kgo.NewOffset().AtStart()}}))
	require.NoError(t, err)
	defer reader.Close()
	var records []*kgo.Record
	for next := int64(0); next < end.Offset; {
		fetches := reader.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
		})
	}
	return records
}

// seedsVariable names the environment variable with the number of seeds that each program runs with.
const seedsVariable = "MILLRACE_SEEDS"

func runtimeSeeds(t *testing.T) []uint64 {
	t.Helper()
	n := 1
	if s := os.Getenv(seedsVariable); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		require.NoError(t, err, seedsVariable)
	}
	return seeds(t, n)
}
