package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

const (
	padding   = 1000 // bytes of a row, so that there is more state than fits in the least memory
	manyKeys  = 1200
	tinyBytes = 4 << 20 // of memory: half a megabyte of cache, a megabyte for the engine
)

// padded counts records with rows that take room.
func padded(t *testing.T, app, source string) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder(app)
	topology.Source(b, source, codecs.String, codecs.String).GroupByKey().Aggregate("counts",
		func() []byte { return make([]byte, padding) },
		func(_, _ string, row []byte) []byte {
			next := slices.Clone(row)
			binary.BigEndian.PutUint64(next, binary.BigEndian.Uint64(next)+1)
			return next
		}, codecs.Bytes)
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

// instance is an application that remembers what it restored and what was damaged.
type instance struct {
	app  *processors.App
	stop func()

	mu       sync.Mutex
	damaged  map[int32]int                        // times by partition
	restored map[int32]processors.RestoreProgress // the largest restore of each partition
}

func (i *instance) seen() (damaged map[int32]int, restored map[int32]processors.RestoreProgress) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.damaged), maps.Clone(i.restored)
}

func startInstance(t *testing.T, c *cluster, top *topology.Topology, dir string) *instance {
	t.Helper()
	i := &instance{damaged: make(map[int32]int), restored: make(map[int32]processors.RestoreProgress)}
	var err error
	i.app, err = processors.New(top, processors.Config{
		Brokers: c.brokers, Dir: dir, Logger: testLogger(t), Replication: 1, MemoryBytes: tinyBytes, CommitInterval: 10 * time.Millisecond,
		Hooks: processors.Hooks{
			StateDamaged: func(_ string, p int32, _ error) { i.mu.Lock(); defer i.mu.Unlock(); i.damaged[p]++ },
			RestoreProgress: func(p processors.RestoreProgress) {
				i.mu.Lock()
				defer i.mu.Unlock()
				if last, ok := i.restored[p.Partition]; p.Done && (!ok || p.Records >= last.Records) {
					i.restored[p.Partition] = p
				}
			},
		},
	})
	require.NoError(t, err)
	i.stop = sync.OnceFunc(inBackground(t, i.app.Run))
	t.Cleanup(i.stop)
	return i
}

// round produces one record for each key and waits until the group has committed all of the rounds so far.
func round(t *testing.T, c *cluster, group, source string, rounds int) {
	t.Helper()
	records := make([]*kgo.Record, manyKeys)
	for k := range records {
		records[k] = &kgo.Record{Topic: source, Key: fmt.Appendf(nil, "%05d", k), Value: []byte("v")}
	}
	require.NoError(t, c.kafka.ProduceSync(t.Context(), records...).FirstErr())
	require.Eventually(t, func() bool {
		offsets, err := c.admin.FetchOffsets(t.Context(), group)
		var sum int64
		for _, at := range offsets[source] {
			sum += at.At
		}
		return err == nil && sum == int64(rounds*manyKeys)
	}, 60*time.Second, 10*time.Millisecond)
}

// requireRounds reads the table and checks that each key was counted once in each round.
func requireRounds(t *testing.T, c *cluster, table string, rounds int) {
	t.Helper()
	ends, err := c.admin.ListEndOffsets(t.Context(), table)
	require.NoError(t, err)
	consumer, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics(table),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer consumer.Close()
	counts := make(map[string]uint64)
	left := make(map[int32]bool)
	for p := range int32(partitions) {
		left[p] = true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for len(left) > 0 {
		fetches := consumer.PollFetches(ctx)
		require.NoError(t, ctx.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := ends.Lookup(table, r.Partition); ok && r.Offset+1 >= end.Offset {
				delete(left, r.Partition)
			}
			if store, key, ok := state.SplitRowKey(r.Key); ok && !r.Attrs.IsControl() && store == "counts" {
				_, row, err := state.SplitRowValue(r.Value)
				require.NoError(t, err)
				counts[string(key)] = binary.BigEndian.Uint64(row)
			}
		})
	}
	require.Len(t, counts, manyKeys)
	for key, n := range counts {
		require.EqualValues(t, rounds, n, "key %s", key)
	}
}

// damage does something to all files of a partition's state that match pattern.
func damage(t *testing.T, dir string, partition int32, pattern string, do func(path string) error) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("%d.*", partition), pattern))
	require.NoError(t, err)
	require.NotEmpty(t, paths, "files %s of partition %d", pattern, partition)
	for _, path := range paths {
		if err := do(path); !errors.Is(err, fs.ErrNotExist) { // a compaction may just have replaced it
			require.NoError(t, err)
		}
	}
}

func flipBytes(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := len(data) / 4; i < len(data)*3/4; i++ {
		data[i] ^= 0x55
	}
	return os.WriteFile(path, data, 0o600)
}

func cutShort(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// State that was damaged while the application was down is restored, the state of the other partitions is kept, and
// every record counts once.
func TestDamage_atRest(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	for _, test := range []struct {
		name       string
		partitions []int32
		pattern    string
		do         func(path string) error
	}{
		{"tables changed", []int32{1, 3}, "*.sst", flipBytes},
		{"tables cut short", []int32{0}, "*.sst", cutShort},
		{"tables removed", []int32{2, 3}, "*.sst", os.Remove},
		{"manifest cut short", []int32{0, 2}, "MANIFEST*", cutShort},
		{"manifest emptied", []int32{1}, "MANIFEST*", func(path string) error { return os.Truncate(path, 0) }},
		{"manifest removed", []int32{3}, "MANIFEST*", os.Remove},
		{"directory removed", []int32{1, 2}, "", os.RemoveAll},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			source := unique("lines")
			c.createTopics(t, source)
			top, dir := padded(t, unique("damage"), source), t.TempDir()
			sub := top.SubTopologies()[0]

			first := startInstance(t, c, top, dir)
			round(t, c, sub.Group(), source, 1)
			round(t, c, sub.Group(), source, 2)
			first.stop()
			require.Empty(t, first.damaged)
			for _, p := range test.partitions {
				damage(t, filepath.Join(dir, sub.Group()), p, test.pattern, test.do)
			}

			second := startInstance(t, c, top, dir)
			round(t, c, sub.Group(), source, 3)
			second.stop()
			requireRounds(t, c, sub.TableTopic(), 3)
			// What is left of a manifest cut short may be a whole one of an earlier moment, as after a loss of power,
			// and a directory that is gone is a new disk: both are restored like these, without being damage.
			if test.name == "directory removed" || test.name == "manifest cut short" {
				require.Subset(t, test.partitions, slices.Collect(maps.Keys(second.damaged)))
			} else {
				require.ElementsMatch(t, test.partitions, slices.Collect(maps.Keys(second.damaged)))
			}
			require.Len(t, second.restored, partitions)
			for p, restored := range second.restored {
				if slices.Contains(test.partitions, p) {
					require.Positive(t, restored.Records, "partition %d is restored", p)
				} else {
					require.Positive(t, restored.Start, "partition %d keeps what it has", p)
					require.Zero(t, restored.Records, "partition %d", p)
				}
			}
		})
	}
}

// Damage that happens under a running application is met by a read, a commit or a compaction; the task restores its
// state and goes on, beside others that never notice.
func TestDamage_whileRunning(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	top, dir := padded(t, unique("damage"), source), t.TempDir()
	sub := top.SubTopologies()[0]
	i := startInstance(t, c, top, dir)
	rounds := 0
	for range 3 {
		rounds++
		round(t, c, sub.Group(), source, rounds)
	}
	state := filepath.Join(dir, sub.Group())
	damage(t, state, 0, "*.sst", flipBytes)
	damage(t, state, 1, "*.sst", cutShort)
	damage(t, state, 2, "*.sst", os.Remove)
	// What is in memory needs no file: it takes a few rounds until the damage is met.
	for met := false; !met; {
		rounds++
		round(t, c, sub.Group(), source, rounds)
		damaged, restored := i.seen()
		met = damaged[0] > 0 && damaged[1] > 0 && restored[0].Records > 0 && restored[1].Records > 0
		require.Less(t, rounds, 100, "the damage is never met")
	}
	requireRounds(t, c, sub.TableTopic(), rounds)
	damaged, restored := i.seen()
	require.NotContains(t, damaged, int32(3))
	require.Zero(t, restored[3].Records)

	// A manifest is written, not read, while the application runs: the next start finds it, or what replaced it.
	damage(t, state, 3, "MANIFEST*", cutShort)
	rounds++
	round(t, c, sub.Group(), source, rounds)
	i.stop()
	again := startInstance(t, c, top, dir)
	rounds++
	round(t, c, sub.Group(), source, rounds)
	again.stop()
	requireRounds(t, c, sub.TableTopic(), rounds)
	for p := range int32(2) {
		require.Zero(t, again.damaged[p], "partition %d was mended before", p)
		require.Zero(t, again.restored[p].Records, "partition %d was mended before", p)
	}
}

// startView opens a view of the table with the least memory.
func startView(t *testing.T, c *cluster, top *topology.Topology, dir string) (vs *views.Views, view *views.KeyValueView[string, []byte], stop func()) {
	t.Helper()
	vs, err := views.Open(t.Context(), views.Config{Brokers: c.brokers, Dir: dir, Logger: testLogger(t), MemoryBytes: 1}, top.Tables()...)
	require.NoError(t, err)
	view, err = views.KeyValue(vs, "counts", codecs.String, codecs.Bytes)
	require.NoError(t, err)
	return vs, view, sync.OnceFunc(inBackground(t, vs.Run))
}

// requireView reads the view until it answers: then every row is there and right. Meanwhile it says that it cannot.
func requireView(t *testing.T, view *views.KeyValueView[string, []byte], rounds int) {
	t.Helper()
	read := func() (rows int, err error) {
		for entry, err := range view.Range(t.Context(), nil, nil) {
			if err != nil {
				return 0, err
			}
			require.EqualValues(t, rounds, binary.BigEndian.Uint64(entry.Value), "key %s", entry.Key)
			rows++
		}
		return rows, nil
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(60 * time.Second); ; <-tick.C {
		rows, err := read()
		if err == nil {
			require.Equal(t, manyKeys, rows)
			return
		}
		require.ErrorIs(t, err, views.ErrRebuilding)
		require.False(t, time.Now().After(end), "the view is not rebuilt: %v", err)
	}
}

// A view that was damaged is read again from its table, by itself and although nothing new is written. Until then it
// answers nothing rather than a part.
func TestDamage_views(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	top, dir := padded(t, unique("damage"), source), t.TempDir()
	sub := top.SubTopologies()[0]
	i := startInstance(t, c, top, t.TempDir())
	round(t, c, sub.Group(), source, 1)
	round(t, c, sub.Group(), source, 2)
	i.stop()
	state := filepath.Join(dir, sub.Group())

	vs, view, stop := startView(t, c, top, dir)
	<-vs.Ready()
	requireView(t, view, 2)
	damage(t, state, 1, "*.sst", flipBytes)
	damage(t, state, 2, "*.sst", cutShort)
	requireView(t, view, 2)
	require.GreaterOrEqual(t, vs.Info(t.Context())[0].Damaged, int64(1))
	stop()

	damage(t, state, 0, "*.sst", os.Remove)
	damage(t, state, 3, "MANIFEST*", func(path string) error { return os.Truncate(path, 0) })
	vs, view, stop = startView(t, c, top, dir)
	<-vs.Ready()
	requireView(t, view, 2)
	require.EqualValues(t, 2, vs.Info(t.Context())[0].Damaged)
	stop()
}
