package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// globalSite is an application that joins a stream of one partition with a global table of several.
type globalSite struct {
	*cluster
	app, in, rows, out string
	dir                string
	top                *topology.Topology
	read               int // records of out
	sent               int // rows
}

const rowPartitions = 3

func newGlobalSite(t *testing.T) *globalSite {
	t.Helper()
	s := &globalSite{
		cluster: openCluster(t), app: unique("app"), in: unique("in"), rows: unique("rows"), out: unique("out"), dir: t.TempDir(),
	}
	s.createSized(t, 1, s.in, s.out)
	s.createSized(t, rowPartitions, s.rows)
	s.top = s.topology(t)
	return s
}

func (s *globalSite) topology(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder(s.app)
	rows := topology.GlobalTableOf(b, s.rows, codecs.String, codecs.String, topology.Named("rows"))
	topology.Source(b, s.in, codecs.String, codecs.String).
		LeftJoinGlobal(rows, func(_, key string) (string, bool) { return key, true }, func(key string, row *string) string {
			if row == nil {
				return key + "=none"
			}
			return key + "=" + *row
		}).
		To(s.out, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

func (s *globalSite) start(t *testing.T) (app *processors.App, stop func()) {
	t.Helper()
	app, err := processors.New(s.top, processors.Config{
		Brokers: s.brokers, Dir: s.dir, Logger: testLogger(t), Replication: 1, CommitInterval: 5 * time.Millisecond, HandoverTimeout: -1,
		MemoryBytes: tinyBytes,
	})
	require.NoError(t, err)
	stop = sync.OnceFunc(inBackground(t, app.Run))
	t.Cleanup(stop)
	return app, stop
}

// put writes rows, given as pairs; an empty value deletes.
func (s *globalSite) put(t *testing.T, pairs ...string) {
	t.Helper()
	var records []*kgo.Record
	for i := 0; i < len(pairs); i += 2 {
		r := &kgo.Record{Topic: s.rows, Key: []byte(pairs[i])}
		if pairs[i+1] != "" {
			r.Value = []byte(pairs[i+1])
		}
		records = append(records, r)
	}
	require.NoError(t, s.kafka.ProduceSync(t.Context(), records...).FirstErr())
	s.sent += len(records)
}

// look sends a record for each key and returns what it is joined with.
func (s *globalSite) look(t *testing.T, keys ...string) (values []string) {
	t.Helper()
	var records []*kgo.Record
	for _, key := range keys {
		records = append(records, &kgo.Record{Topic: s.in, Value: []byte(key)})
	}
	require.NoError(t, s.kafka.ProduceSync(t.Context(), records...).FirstErr())
	s.read += len(keys)
	eventually(t, func() bool { return len(s.values(t, s.out)) >= s.read })
	values = s.values(t, s.out)
	require.Len(t, values, s.read, "exactly once")
	return values[s.read-len(keys):]
}

// awaitRecords waits until the application has taken n records of the table since it started.
func awaitRecords(t *testing.T, app *processors.App, n int) processors.GlobalInfo {
	t.Helper()
	var info processors.GlobalInfo
	require.Eventually(t, func() bool {
		if globals := app.Info(t.Context()).Globals; len(globals) == 1 {
			info = globals[0]
		}
		return info.Records >= int64(n)
	}, waitLong, tick, "records of the table")
	return info
}

// All rows are there before the first record is processed, changes are followed, and a restart reads only what is new.
func TestGlobalTable_isCompleteAtTheStartAndFollowed(t *testing.T) {
	t.Parallel()
	s := newGlobalSite(t)
	s.put(t, "a", "1", "b", "1", "c", "1", "a", "2", "", "empty", "d", "1", "d", "")
	require.NoError(t, s.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: s.rows, Value: []byte("no key")}).FirstErr())
	require.NoError(t, s.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: s.in, Value: []byte("b")}).FirstErr())
	s.read++ // sent before anything runs

	app, stop := s.start(t)
	require.Equal(t, []string{"a=2", "b=1", "c=1", "d=none", "=empty", "x=none"}, s.look(t, "a", "b", "c", "d", "", "x"))
	require.Equal(t, "b=1", s.values(t, s.out)[0])

	before := awaitRecords(t, app, s.sent)
	s.put(t, "a", "3", "b", "", "x", "1")
	awaitRecords(t, app, int(before.Records)+3)
	require.Equal(t, []string{"a=3", "b=none", "c=1", "x=1"}, s.look(t, "a", "b", "c", "x"))
	stop()

	s.put(t, "c", "4")
	app, stop = s.start(t)
	require.Equal(t, []string{"a=3", "b=none", "c=4", "x=1"}, s.look(t, "a", "b", "c", "x"))
	require.EqualValues(t, 1, awaitRecords(t, app, 1).Records, "only what is new is read")
	stop()

	require.NoError(t, os.RemoveAll(s.dir))
	s.start(t)
	require.Equal(t, []string{"a=3", "b=none", "c=4", "x=1"}, s.look(t, "a", "b", "c", "x"))
}

// A processor finds rows of all partitions: rows from before the start, later rows, and all of them after a restart.
func TestGlobalTable_processorsReadIt(t *testing.T) {
	t.Parallel()
	s := newGlobalSite(t)
	b := topology.NewBuilder(s.app)
	table := topology.GlobalTableOf(b, s.rows, codecs.String, codecs.String, topology.Named("rows"))
	type record = topology.Record[string, string]
	topology.Source(b, s.in, codecs.String, codecs.String).
		ProcessValues("look-up", func(p *topology.ValuesContext[string]) (topology.Processor[string, string], error) {
			rows := table.In(p)
			return func(_ context.Context, r record) error {
				row, _, ok, err := rows.Get(r.Value)
				if !ok {
					row = "none"
				}
				p.Forward(r.Value + "=" + row)
				return err
			}, nil
		}).
		To(s.out, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	s.top = top

	const n = 20 // rows, in all partitions
	partitions := make(map[int32]bool)
	var keys, first, second []string
	for i := range n {
		key := fmt.Sprint("k", i)
		partitions[topology.Partition([]byte(key), rowPartitions)] = true
		s.put(t, key, "1")
		keys, first, second = append(keys, key), append(first, key+"=1"), append(second, key+"=2")
	}
	require.Len(t, partitions, rowPartitions)
	app, stop := s.start(t)
	require.Equal(t, append(first, "x=none"), s.look(t, append(keys, "x")...))

	before := awaitRecords(t, app, s.sent)
	for _, key := range keys {
		s.put(t, key, "2")
	}
	awaitRecords(t, app, int(before.Records)+n)
	require.Equal(t, second, s.look(t, keys...))
	stop()

	s.put(t, "k0", "")
	s.start(t)
	second[0] = "k0=none"
	require.Equal(t, second, s.look(t, keys...))
}

// What is damaged on the disk, or from another topic of that name, is read from the topic again.
func TestGlobalTable_isReadAgainIfItsFilesAreOfNoUse(t *testing.T) {
	t.Parallel()
	s := newGlobalSite(t)
	for i := range 300 {
		s.put(t, fmt.Sprint("k", i), fmt.Sprint("v", i))
	}
	_, stop := s.start(t)
	require.Equal(t, []string{"k7=v7", "k299=v299"}, s.look(t, "k7", "k299"))
	stop()

	dir := filepath.Join(s.dir, "global."+s.app+".rows")
	damage(t, dir, 0, "*.sst", flipBytes)
	_, stop = s.start(t)
	require.Equal(t, []string{"k7=v7", "k299=v299", "k8=v8"}, s.look(t, "k7", "k299", "k8"))
	stop()

	_, err := s.admin.DeleteTopics(t.Context(), s.rows)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := s.admin.CreateTopic(t.Context(), rowPartitions, 1, nil, s.rows)
		return err == nil
	}, waitLong, 100*time.Millisecond)
	other, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...)) // a client remembers the topic that is gone
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, other.ProduceSync(t.Context(), &kgo.Record{Topic: s.rows, Key: []byte("k8"), Value: []byte("new")}).FirstErr())
	s.start(t)
	require.Equal(t, []string{"k7=none", "k8=new"}, s.look(t, "k7", "k8"))
}

// Files that break while the application runs end no task for good: the table is read again, and then the records are
// joined.
func TestGlobalTable_isReadAgainWhileItRuns(t *testing.T) {
	t.Parallel()
	s := newGlobalSite(t)
	var pairs []string
	for i := range 4000 {
		pairs = append(pairs, fmt.Sprint("k", i), fmt.Sprintf("v%0900d", i))
	}
	s.put(t, pairs...)
	_, stop := s.start(t)
	require.Equal(t, []string{fmt.Sprintf("k7=v%0900d", 7)}, s.look(t, "k7"))
	stop() // so that all rows are in files
	app, _ := s.start(t)
	require.Eventually(t, func() bool { return app.State() == processors.Running }, waitLong, tick)
	damage(t, filepath.Join(s.dir, "global."+s.app+".rows"), 0, "*.sst", flipBytes)
	var keys, want []string
	for i := 0; i < 4000; i += 40 {
		keys, want = append(keys, fmt.Sprint("k", i)), append(want, fmt.Sprintf("k%d=v%0900d", i, i))
	}
	require.Equal(t, want, s.look(t, keys...))
	require.Positive(t, app.Info(t.Context()).Globals[0].Damaged)
}

func TestGlobalTable_aTopicThatDoesNotExistIsNamed(t *testing.T) {
	t.Parallel()
	s := newGlobalSite(t)
	s.rows, s.in = unique("rows"), unique("in")
	app, err := processors.New(s.topology(t), processors.Config{Brokers: s.brokers, Dir: s.dir, Replication: 1})
	require.NoError(t, err)
	err = app.Run(t.Context())
	require.ErrorContains(t, err, "global table rows: ")
	require.ErrorContains(t, err, s.rows)
	require.ErrorContains(t, err, s.in, "all that is missing is named at once")
}
