package processors

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed84377926/millrace/internal/broker"
)

// taskStats is what a task counts of itself. It is written by the task and read by whoever looks.
type taskStats struct {
	ready     chan struct{} // signalled by the task's feeds
	processor atomic.Pointer[broker.GroupTask]
	restore   atomic.Pointer[RestoreProgress]

	records  atomic.Int64
	commits  atomic.Int64
	failures atomic.Int64
	rows     atomic.Int64 // changelog records written
	spent    atomic.Int64 // nanoseconds in commits

	mu struct {
		sync.Mutex
		drops map[string]int64
	}
}

func (s *taskStats) committed(spent time.Duration, rows int) {
	s.commits.Add(1)
	s.rows.Add(int64(rows))
	s.spent.Add(int64(spent))
}

func (s *taskStats) drop(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.drops == nil {
		s.mu.drops = make(map[string]int64)
	}
	s.mu.drops[reason]++
}

func (s *taskStats) drops() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.mu.drops)
}

// Collector returns the application's metrics for a Prometheus registry. The names are those of Kafka Streams' task
// metrics with underscores.
func (a *App) Collector() prometheus.Collector { return collector{a} }

type collector struct{ app *App }

// metricDescs are the metrics of one task.
type metricDescs struct {
	state, records, commits, commitSeconds, changelog, failures, dropped, restoreRemaining, cache, dirty *prometheus.Desc
}

func newMetricDescs() metricDescs {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("millrace_"+name, help, labels, nil)
	}
	return metricDescs{
		state:            desc("task_state", "What the task is doing; 1 for the state it is in.", "group", "partition", "state"),
		records:          desc("task_process_total", "Input records processed, aborted work included.", "group", "partition"),
		commits:          desc("task_commit_total", "Transactions committed.", "group", "partition"),
		commitSeconds:    desc("task_commit_seconds_total", "Time spent committing.", "group", "partition"),
		changelog:        desc("task_changelog_rows_total", "Rows committed to the changelog, local index rows included.", "group", "partition"),
		failures:         desc("task_failures_total", "Lives that ended with an error.", "group", "partition"),
		dropped:          desc("task_dropped_records_total", "Records dropped, by reason.", "group", "partition", "reason"),
		restoreRemaining: desc("task_restore_remaining_records", "Changelog offsets left to restore.", "group", "partition"),
		cache:            desc("cache_size_bytes", "Bytes in the write-back caches of this instance."),
		dirty:            desc("cache_dirty_bytes", "Bytes in the caches that are not committed yet."),
	}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	d := newMetricDescs()
	for _, desc := range []*prometheus.Desc{
		d.state, d.records, d.commits, d.commitSeconds, d.changelog, d.failures, d.dropped, d.restoreRemaining, d.cache, d.dirty,
	} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	d := newMetricDescs()
	for _, g := range c.app.groups() {
		for _, t := range g.tasks() {
			labels := []string{g.plan.sub.Group(), fmt.Sprint(t.partition)}
			count := func(desc *prometheus.Desc, v float64, more ...string) {
				ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, v, append(slices.Clone(labels), more...)...)
			}
			count(d.records, float64(t.stats.records.Load()))
			count(d.commits, float64(t.stats.commits.Load()))
			count(d.commitSeconds, time.Duration(t.stats.spent.Load()).Seconds())
			count(d.changelog, float64(t.stats.rows.Load()))
			count(d.failures, float64(t.stats.failures.Load()))
			for reason, n := range t.stats.drops() {
				count(d.dropped, float64(n), reason)
			}
			ch <- prometheus.MustNewConstMetric(d.state, prometheus.GaugeValue, 1, append(slices.Clone(labels), taskState(t.state.Load()).String())...)
			var remaining int64
			if p := t.stats.restore.Load(); p != nil && !p.Done {
				remaining = p.End - p.Next
			}
			ch <- prometheus.MustNewConstMetric(d.restoreRemaining, prometheus.GaugeValue, float64(remaining), labels...)
		}
	}
	ch <- prometheus.MustNewConstMetric(d.cache, prometheus.GaugeValue, float64(c.app.budget.Used()))
	ch <- prometheus.MustNewConstMetric(d.dirty, prometheus.GaugeValue, float64(c.app.budget.Dirty()))
}

// AppInfo is a picture of the application on this instance, for people; it marshals to JSON.
type AppInfo struct {
	Name   string      `json:"name"`
	State  string      `json:"state"`
	Groups []GroupInfo `json:"groups"`
}

// GroupInfo is one processor group.
type GroupInfo struct {
	Group      string               `json:"group"`
	Partitions int32                `json:"partitions"`
	Members    map[string]Placement `json:"members"` // by the address of the member, as last planned
	Tasks      []TaskInfo           `json:"tasks"`   // those of this instance
	Standbys   []StandbyInfo        `json:"standbys,omitempty"`
	Leftovers  []int32              `json:"leftovers,omitempty"` // partitions whose state is on this disk for no present use
}

// Placement is what one member of a group is to do.
type Placement = broker.Placement

// StandbyInfo is one copy of a task's state that this instance keeps.
type StandbyInfo struct {
	Partition int32 `json:"partition"`
	Warmup    bool  `json:"warmup"`   // the task is to move here
	CaughtUp  bool  `json:"caughtUp"` // it could take over at once
	Offset    int64 `json:"offset"`   // the last changelog offset it reflects, -1 for none
}

// TaskInfo is one task of this instance.
type TaskInfo struct {
	Partition int32            `json:"partition"`
	State     string           `json:"state"`
	Processed int64            `json:"processed"`
	Commits   int64            `json:"commits"`
	Failures  int64            `json:"failures"`
	Dropped   map[string]int64 `json:"dropped,omitempty"`
	Restore   *RestoreProgress `json:"restore,omitempty"`
	Goka      any              `json:"goka"` // goka's own statistics of the task's processor
}

// Info returns a picture of the application, with goka's own statistics of every processor.
func (a *App) Info(ctx context.Context) AppInfo {
	info := AppInfo{Name: a.top.Name(), State: a.State().String()}
	for _, g := range a.groups() {
		gi := GroupInfo{Group: g.plan.sub.Group(), Partitions: g.plan.partitions, Members: g.members()}
		tasks := g.tasks()
		slices.SortFunc(tasks, func(x, y *task) int { return int(x.partition - y.partition) })
		for _, t := range tasks {
			ti := TaskInfo{
				Partition: t.partition, State: taskState(t.state.Load()).String(),
				Processed: t.stats.records.Load(), Commits: t.stats.commits.Load(), Failures: t.stats.failures.Load(),
				Dropped: t.stats.drops(), Restore: t.stats.restore.Load(),
			}
			if processor := t.stats.processor.Load(); processor != nil {
				ti.Goka = processor.Stats(ctx)
			}
			gi.Tasks = append(gi.Tasks, ti)
		}
		for _, s := range g.standbys.all() {
			gi.Standbys = append(gi.Standbys, s.info())
		}
		if leftovers, err := g.leftover.partitions(); err == nil { // else the engine is closed or damaged, and says so itself
			gi.Leftovers = leftovers
		}
		info.Groups = append(info.Groups, gi)
	}
	return info
}

// Processed returns how many input records the tasks of this instance have processed, aborted work included.
func (a *App) Processed() (n int64) {
	for _, g := range a.groups() {
		for _, t := range g.tasks() {
			n += t.stats.records.Load()
		}
	}
	return n
}
