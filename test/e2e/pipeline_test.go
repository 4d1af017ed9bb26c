// Package e2e runs whole applications, from records in Kafka to answers of views, on a broker of its own or, when
// MILLRACE_KAFKA names one, on a real Apache Kafka.
package e2e

import (
	"context"
	"fmt"
	"maps"
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

const partitions = 4

// wordCount counts the records of each key and, through a repartition topic, the records of each value.
func wordCount(t *testing.T, app, source string) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder(app)
	lines := topology.Source(b, source, codecs.String, codecs.String)
	lines.GroupByKey().Count("by-key")
	lines.Rekey(func(_, v string) string { return v }).
		Repartition("words", codecs.String, codecs.String).
		GroupByKey().Count("by-word")
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

// produce writes n records with keys k0…k6 and values w0…w10 and returns the offsets after them.
func (c *cluster) produce(t *testing.T, topic string, from, n int) state.Offsets {
	t.Helper()
	records := make([]*kgo.Record, 0, n)
	for i := from; i < from+n; i++ {
		records = append(records, &kgo.Record{
			Topic: topic, Key: fmt.Append(nil, "k", i%7), Value: fmt.Append(nil, "w", i%11), Timestamp: time.UnixMilli(int64(i)),
		})
	}
	return c.produceAll(t, records...)
}

// pipeline is a running application with its views.
type pipeline struct {
	app            *processors.App
	views          *views.Views
	byKey, byWord  *views.KeyValueView[string, int64]
	cancel         context.CancelFunc
	appDone, vDone chan error

	restored struct {
		sync.Mutex
		byTask map[string]processors.RestoreProgress // of the last takeover of each task, by group/partition
	}
}

func (p *pipeline) restores(progress processors.RestoreProgress) {
	p.restored.Lock()
	defer p.restored.Unlock()
	p.restored.byTask[fmt.Sprintf("%s/%d", progress.Group, progress.Partition)] = progress
}

// takeovers returns the last restore of each task that the instance has or had.
func (p *pipeline) takeovers() map[string]processors.RestoreProgress {
	p.restored.Lock()
	defer p.restored.Unlock()
	return maps.Clone(p.restored.byTask)
}

func startPipeline(t *testing.T, c *cluster, top *topology.Topology, dir string, options ...func(*processors.Config)) *pipeline {
	t.Helper()
	p := &pipeline{appDone: make(chan error, 1), vDone: make(chan error, 1)}
	p.restored.byTask = make(map[string]processors.RestoreProgress)
	cfg := processors.Config{
		Brokers: c.brokers, Dir: dir + "/state", Logger: testLogger(t), CommitInterval: 10 * time.Millisecond,
		Address: dir, Hooks: processors.Hooks{RestoreProgress: p.restores},
	}
	for _, option := range options {
		option(&cfg)
	}
	app, err := processors.New(top, cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	p.app, p.cancel = app, cancel
	go func() { p.appDone <- app.Run(ctx) }()

	open, stop := context.WithTimeout(t.Context(), waitLong)
	defer stop()
	p.views, err = views.Open(open, views.Config{Brokers: c.brokers, Dir: dir + "/views", Logger: testLogger(t)}, top.Tables()...)
	if err != nil {
		select {
		case ended := <-p.appDone:
			t.Fatalf("%v; the application ended: %v", err, ended)
		default:
			t.Fatalf("%v; the application is %v", err, app.State())
		}
	}
	go func() { p.vDone <- p.views.Run(ctx) }()
	p.byKey, err = views.KeyValue(p.views, "by-key", codecs.String, codecs.Int64)
	require.NoError(t, err)
	p.byWord, err = views.KeyValue(p.views, "by-word", codecs.String, codecs.Int64)
	require.NoError(t, err)
	return p
}

func (p *pipeline) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	require.NoError(t, <-p.appDone)
	require.NoError(t, <-p.vDone)
	require.Equal(t, processors.Closed, p.app.State())
}

// requireCounts compares the views with n records, each counted once.
func (p *pipeline) requireCounts(t *testing.T, n int, offsets state.Offsets) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, p.views.Wait(ctx, offsets))
	require.Equal(t, residues(n, 7, "k"), counts(t, p.byKey))
	require.Equal(t, residues(n, 11, "w"), counts(t, p.byWord))
}

func residues(n, mod int, prefix string) map[string]int64 {
	want := make(map[string]int64)
	for i := range n {
		want[fmt.Sprint(prefix, i%mod)]++
	}
	return want
}

func counts(t *testing.T, v *views.KeyValueView[string, int64]) map[string]int64 {
	t.Helper()
	got := make(map[string]int64)
	for entry, err := range v.Range(t.Context(), nil, nil) {
		require.NoError(t, err)
		got[entry.Key] = entry.Value
	}
	return got
}

func TestPipeline_countsEveryRecordOnceAcrossRestarts(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	top := wordCount(t, unique("words"), source)
	dir := t.TempDir()

	const each = 2000
	var offsets state.Offsets
	for run := range 3 {
		offsets = offsets.Merge(c.produce(t, source, run*each, each/2)) // before the start: catching up
		p := startPipeline(t, c, top, dir)
		p.requireCounts(t, run*each+each/2, offsets)
		offsets = offsets.Merge(c.produce(t, source, run*each+each/2, each/2)) // while running
		p.requireCounts(t, (run+1)*each, offsets)
		p.stop(t)
	}
}

func TestPipeline_rebuildsFromTheChangelogWithoutLocalState(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	top := wordCount(t, unique("words"), source)
	offsets := c.produce(t, source, 0, 500)
	p := startPipeline(t, c, top, t.TempDir())
	p.requireCounts(t, 500, offsets)
	p.stop(t)

	offsets = offsets.Merge(c.produce(t, source, 500, 500))
	p = startPipeline(t, c, top, t.TempDir())
	p.requireCounts(t, 1000, offsets)
	p.stop(t)
}
