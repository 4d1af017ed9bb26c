package processors_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/describe"
)

// gather returns the values of all series, counts for histograms, by name{label=value,…} with sorted labels.
func gather(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	require.NoError(t, err)
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, pair := range m.GetLabel() {
				labels = append(labels, pair.GetName()+"="+pair.GetValue())
			}
			slices.Sort(labels)
			values[fmt.Sprintf("%s{%s}", strings.TrimPrefix(family.GetName(), "millrace_"), strings.Join(labels, ","))] =
				m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// watched is an App that runs, with its metrics and its log.
type watched struct {
	*processors.App
	registry *prometheus.Registry
	log      *logged
	stop     func()
}

func watch(t *testing.T, top *topology.Topology, cfg processors.Config) *watched {
	t.Helper()
	w := &watched{registry: prometheus.NewPedanticRegistry(), log: &logged{lines: make(chan map[string]string, 10_000)}}
	cfg.Logger = slog.New(w.log)
	var err error
	w.App, err = processors.New(top, cfg)
	require.NoError(t, err)
	require.NoError(t, w.registry.Register(w.Collector()), "before Run")
	gather(t, w.registry)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(w.stop)
	return w
}

// eventually waits until the series has the value.
func (w *watched) eventually(t *testing.T, series string, value float64) {
	t.Helper()
	require.Eventually(t, func() bool {
		v, ok := gather(t, w.registry)[series]
		return ok && v == value
	}, 20*time.Second, 5*time.Millisecond, series)
}

// logged is a slog.Handler that sends each line as a map of its attributes, the message included.
type logged struct {
	lines chan map[string]string
	attrs []slog.Attr
}

func (l *logged) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *logged) WithGroup(string) slog.Handler                    { return l }
func (l *logged) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logged{lines: l.lines, attrs: append(slices.Clip(l.attrs), attrs...)}
}

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	line := map[string]string{"msg": r.Message, "level": r.Level.String()}
	add := func(a slog.Attr) bool { line[a.Key] = a.Value.String(); return true }
	for _, a := range l.attrs {
		add(a)
	}
	r.Attrs(add)
	l.lines <- line
	return nil
}

// next waits for a line whose message contains the text.
func (l *logged) next(t *testing.T, text string) map[string]string {
	t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case line := <-l.lines:
			if strings.Contains(line["msg"], text) {
				return line
			}
		case <-timeout.C:
			require.Fail(t, "nothing was logged", text)
		}
	}
}

func line(t *testing.T, key string, value int64) *kgo.Record {
	t.Helper()
	data, err := codecs.Int64.Append(nil, value)
	require.NoError(t, err)
	return &kgo.Record{Topic: "lines", Key: []byte(key), Value: data}
}

func countTo(t *testing.T, mapped func(int64) int64) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("app")
	topology.Source(b, "lines", codecs.String, codecs.Int64).MapValues(mapped).
		GroupByKey().Count("counts").ToStream().To("out", codecs.String, codecs.Int64)
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

func same(v int64) int64 { return v }

func TestCollector_countsWhatHappened(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	for i := range int64(10) {
		b.produce(t, line(t, fmt.Sprint("key", i%2), i))
	}
	b.produce(t, &kgo.Record{Topic: "lines", Value: line(t, "", 1).Value}) // a null key is dropped
	top := countTo(t, same)
	w := watch(t, top, processors.Config{Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Millisecond, StuckAfter: 8 * time.Millisecond})
	w.eventually(t, "topic_records_produced_total{group=app-counts,partition=0,topic=out}", 10)
	w.eventually(t, "topic_records_lag{group=app-counts,partition=0,topic=lines}", 0)
	got := gather(t, w.registry)
	for series, want := range map[string]float64{
		"client_state{application=app,state=running}":                              1,
		"task_state{group=app-counts,partition=0,state=running}":                   1,
		"task_process_total{group=app-counts,partition=0}":                         11,
		"task_dropped_records_total{group=app-counts,partition=0,reason=null-key}": 1,
		"task_transactions_total{group=app-counts,outcome=aborted,partition=0}":    0,
		"topic_records_consumed_total{group=app-counts,partition=0,topic=lines}":   11,
		"topic_bytes_consumed_total{group=app-counts,partition=0,topic=lines}":     10*(4+8) + 8,
		"topic_bytes_produced_total{group=app-counts,partition=0,topic=out}":       10 * (4 + 8),
		"topic_records_lag_seconds{group=app-counts,partition=0,topic=lines}":      0,
		"topic_uncommitted_records{group=app-counts,partition=0,topic=lines}":      0,
		"store_put_total{group=app-counts,partition=0,store=counts}":               10,
		"store_get_total{group=app-counts,partition=0,store=counts}":               10,
		"store_cache_hits_total{group=app-counts,partition=0,store=counts}":        8,
		"store_uncommitted_bytes{group=app-counts,partition=0,store=counts}":       0,
		"store_cached_rows{group=app-counts,partition=0,store=counts}":             2,
		"record_e2e_latency_seconds{at=source,group=app-counts,topic=lines}":       11,
		"record_e2e_latency_seconds{at=commit,group=app-counts,topic=lines}":       11,
		"record_e2e_latency_seconds{at=sink,group=app-counts,topic=out}":           10,
		"group_tasks{group=app-counts,role=active}":                                1,
		"group_tasks{group=app-counts,role=standby}":                               0,
		"group_tasks_lost_latency_seconds{group=app-counts}":                       0,
		"task_restore_remaining_records{group=app-counts,partition=0}":             0,
		"task_restore_total{group=app-counts,partition=0}":                         0,
		"engine_write_stalls_total{group=app-counts}":                              0,
		"cache_limit_bytes{}": float64(w.Memory().Cache),
		"task_enforced_processing_total{group=app-counts,partition=0}":          0,
		"task_transactions_total{group=app-counts,outcome=unknown,partition=0}": 0,
	} {
		require.Contains(t, got, series)
		require.InDelta(t, want, got[series], 0, series)
	}
	commits := got["task_transactions_total{group=app-counts,outcome=committed,partition=0}"]
	require.Positive(t, commits)
	require.InDelta(t, commits, got["task_commit_latency_seconds{group=app-counts,partition=0}"], 0)
	for _, positive := range []string{
		"task_time_seconds_total{activity=process,group=app-counts,partition=0}",
		"task_time_seconds_total{activity=commit,group=app-counts,partition=0}",
		"task_time_seconds_total{activity=wait,group=app-counts,partition=0}",
		"task_time_seconds_total{activity=take_over,group=app-counts,partition=0}",
		"topic_records_produced_total{group=app-counts,partition=0,topic=app-counts-table}",
		"group_tasks_assigned_latency_seconds{group=app-counts}",
		"client_state_seconds_total{application=app,state=rebalancing}",
		"engine_size_all_mem_tables_bytes{group=app-counts}",
		"store_cache_size_bytes{group=app-counts,partition=0,store=counts}",
	} {
		require.Positive(t, got[positive], positive)
	}
	moved := w.log.next(t, "tasks assigned")
	require.Equal(t, "app-counts", moved["group"])
	require.Equal(t, "[0]", moved["partitions"])
	require.Equal(t, "[0]", moved["owned"])
	dropped := w.log.next(t, "records dropped")
	require.Equal(t, "WARN", dropped["level"])
	require.Equal(t, []string{"app-counts", "0", "counts", "null-key", "1", "lines"}, []string{
		dropped["group"], dropped["partition"], dropped["node"], dropped["reason"], dropped["drops"], dropped["topic"],
	})
	w.stop()

	// On another directory everything comes from the changelog.
	again := watch(t, top, processors.Config{Brokers: b.brokers, Dir: t.TempDir()})
	again.eventually(t, "task_state{group=app-counts,partition=0,state=running}", 1)
	got = gather(t, again.registry)
	require.GreaterOrEqual(t, got["task_restore_total{group=app-counts,partition=0}"], 3.0, "two counts and the position")
}

// Aborted work counts as processed and not as committed, and the metrics show why it was aborted.
func TestCollector_abortedWorkIsCountedByCauseAndOutcome(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	b.produce(t, line(t, "a", 1), line(t, "a", 2))
	var mu sync.Mutex
	tries := 0
	w := watch(t, countTo(t, func(v int64) int64 {
		mu.Lock()
		defer mu.Unlock()
		if v == 2 && tries < 2 {
			tries++
			panic("not yet")
		}
		return v
	}), processors.Config{Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Minute})
	w.eventually(t, "task_transactions_total{group=app-counts,outcome=committed,partition=0}", 1) // soon, after a failure
	got := gather(t, w.registry)
	require.InDelta(t, 2, got["task_transactions_total{group=app-counts,outcome=aborted,partition=0}"], 0)
	require.InDelta(t, 2, got["task_failures_total{cause=record,group=app-counts,partition=0}"], 0)
	require.InDelta(t, 2, got["task_process_total{group=app-counts,partition=0}"], 0)
	require.InDelta(t, 6, got["topic_records_consumed_total{group=app-counts,partition=0,topic=lines}"], 0, "three tries")
	require.InDelta(t, 2, got["record_e2e_latency_seconds{at=sink,group=app-counts,topic=out}"], 0, "only what is committed")
	info := w.Info(t.Context()).Groups[0].Tasks[0]
	require.Equal(t, "record", info.LastError.Cause)
	require.Contains(t, info.LastError.Message, "not yet")
	w.stop()
	require.Equal(t, []string{"a=1", "a=2"}, b.read(t, "out", 2))
}

// A task that hangs in an operator is named with what it waits for, and named again when it goes on.
func TestStuck_aTaskThatHangsIsNamed(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	b.produce(t, line(t, "a", 1))
	release := make(chan struct{})
	w := watch(t, countTo(t, func(v int64) int64 { <-release; return v }),
		processors.Config{Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Millisecond, StuckAfter: 20 * time.Millisecond})
	warning := w.log.next(t, "no progress")
	for warning["state"] != "running" { // a slow start may have been warned of
		warning = w.log.next(t, "no progress")
	}
	require.Equal(t, "WARN", warning["level"])
	require.Equal(t, "app-counts", warning["group"])
	require.Equal(t, "0", warning["partition"])
	require.Contains(t, warning["waits_for"], "an operator")
	require.Contains(t, w.Info(t.Context()).Groups[0].Tasks[0].WaitsFor, "an operator")
	close(release)
	w.log.next(t, "makes progress again")
}

func TestDebugHandler_showsTheStateAsTableAndAsJSON(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	b.produce(t, line(t, "a", 1), line(t, "b", 2), line(t, "a", 3))
	w := watch(t, countTo(t, same), processors.Config{
		Brokers: b.brokers, Dir: t.TempDir(), Address: "here:1", CommitInterval: time.Millisecond, StuckAfter: 8 * time.Millisecond,
	})
	w.eventually(t, "topic_records_produced_total{group=app-counts,partition=0,topic=out}", 3)
	w.eventually(t, "topic_records_lag{group=app-counts,partition=0,topic=lines}", 0)
	ask := func(method, target, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
		r.Header.Set("Accept", accept)
		answer := httptest.NewRecorder()
		w.DebugHandler().ServeHTTP(answer, r)
		return answer
	}
	for _, answer := range []*httptest.ResponseRecorder{ask("GET", "/", "application/json"), ask("GET", "/x?format=json", "")} {
		require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
		var info processors.AppInfo
		require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &info))
		require.Equal(t, "running", info.State)
		group := info.Groups[0]
		require.Equal(t, map[string]processors.Placement{"here:1": {Active: []int32{0}}}, group.Members)
		task := group.Tasks[0]
		require.Equal(t, "running", task.State)
		require.False(t, task.Since.IsZero())
		require.Equal(t, int64(3), task.Processed)
		require.Equal(t, task.Commits, task.Transactions["committed"])
		require.Positive(t, task.Commit.AverageSeconds)
		require.Equal(t, processors.InputInfo{Topic: "lines", Position: 3, End: 3, Records: 3, Bytes: 27}, task.Inputs[0])
		require.Equal(t, "counts", task.Stores[0].Store)
		require.InDelta(t, 1.0/3, task.Stores[0].HitRatio, 0.001)
		require.Nil(t, task.LastError)
		require.Empty(t, task.WaitsFor)
	}
	table := ask("GET", "/", "text/html")
	require.Equal(t, "text/plain; charset=utf-8", table.Header().Get("Content-Type"))
	for _, text := range []string{"application app", "running", "member here:1", "partitions [0]", "lines", "counts"} {
		require.Contains(t, table.Body.String(), text)
	}
	require.Equal(t, http.StatusMethodNotAllowed, ask("POST", "/", "").Code)
}

// Rows that are not committed yet are counted, and no longer after the commit.
func TestCollector_uncommittedRowsShow(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	b.produce(t, line(t, "a", 1), line(t, "b", 2))
	w := watch(t, countTo(t, same), processors.Config{Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Minute})
	w.eventually(t, "store_put_total{group=app-counts,partition=0,store=counts}", 2)
	got := gather(t, w.registry)
	require.Positive(t, got["store_uncommitted_bytes{group=app-counts,partition=0,store=counts}"])
	require.NotContains(t, got, "topic_records_produced_total{group=app-counts,partition=0,topic=out}", "nothing is committed")
	require.Equal(t, int64(2), w.Info(t.Context()).Groups[0].Tasks[0].Stores[0].Puts)
}

// The names keep to the rules of Prometheus, and docs/metrics.md explains each of them.
func TestCollector_namesAreLintedAndDocumented(t *testing.T) {
	b := newBench(t, map[string]int32{"lines": 1, "out": 1})
	b.produce(t, line(t, "a", 1))
	w := watch(t, countTo(t, same), processors.Config{Brokers: b.brokers, Dir: t.TempDir(), CommitInterval: time.Millisecond, StuckAfter: 8 * time.Millisecond})
	w.eventually(t, "topic_records_lag{group=app-counts,partition=0,topic=lines}", 0)
	w.eventually(t, "topic_records_produced_total{group=app-counts,partition=0,topic=out}", 1)
	families, err := w.registry.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)

	docs, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	descs := make(chan *prometheus.Desc, 1000)
	w.Collector().Describe(descs)
	close(descs)
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	n := 0
	for desc := range descs {
		n++
		require.Regexp(t, "`"+name.FindStringSubmatch(desc.String())[1]+"[`{]", string(docs))
	}
	require.Greater(t, n, 50)
}

func TestTopologyHandler_showsTheTopologyAsTextGraphAndJSON(t *testing.T) {
	top := countLines(t)
	app, err := processors.New(top, processors.Config{Brokers: []string{"127.0.0.1:1"}, Dir: t.TempDir()})
	require.NoError(t, err)
	get := func(method, query, accept string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), method, "/topology"+query, nil)
		r.Header.Set("Accept", accept)
		app.TopologyHandler().ServeHTTP(answer, r)
		return answer
	}
	require.Equal(t, top.Describe(), get("GET", "", "text/html").Body.String())
	for _, dot := range []*httptest.ResponseRecorder{get("GET", "?format=dot", ""), get("GET", "", "text/vnd.graphviz")} {
		require.Equal(t, top.DOT(), dot.Body.String())
		require.Equal(t, "text/vnd.graphviz; charset=utf-8", dot.Header().Get("Content-Type"))
	}
	for _, data := range []*httptest.ResponseRecorder{get("GET", "?format=json", "text/vnd.graphviz"), get("GET", "", "application/json")} {
		var description describe.Topology
		require.NoError(t, json.Unmarshal(data.Body.Bytes(), &description))
		require.Equal(t, top.Description(), description)
	}
	require.Equal(t, http.StatusMethodNotAllowed, get("POST", "", "").Code)
}
