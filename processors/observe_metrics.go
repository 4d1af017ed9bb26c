package processors

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed84377926/millrace/processors/internal/observe"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
	"github.com/seed84377926/millrace/topology/engine"
)

// Collector returns the application's metrics for a Prometheus registry: tasks, stores, restores and the connections to
// the brokers. docs/metrics.md lists them next to the metrics of Kafka Streams. The collector can be registered before
// Run. Two applications in one process need a label that distinguishes them (prometheus.WrapRegistererWith).
func (a *App) Collector() prometheus.Collector { return collector{a, newMetricDescs()} }

type collector struct {
	app   *App
	descs metricDescs
}

// metricDescs are the descriptions of all metrics except those of the broker clients.
type metricDescs struct {
	all []*prometheus.Desc

	clientState, clientStateSeconds *prometheus.Desc

	rebalanced [observe.Rebalances]*prometheus.Desc
	tasks      *prometheus.Desc

	inputChanges, unread *prometheus.Desc

	standbyLag *prometheus.Desc
	age        *prometheus.Desc

	globalLag, globalRecords, globalDamaged *prometheus.Desc

	streamTime, held *prometheus.Desc

	state, time, process, enforced, dropped, late, failures, transactions *prometheus.Desc
	commitLatency, changelogRows, restored, restoreRemaining, damaged     *prometheus.Desc

	consumedRecords, consumedBytes, lag, lagSeconds, uncommitted, producedRecords, producedBytes *prometheus.Desc

	storeGets, storeHits, storePuts, storeDeletes, storeScans, storeExpired, storeFlushed *prometheus.Desc
	storeRows, storeBytes, storeDirty, suppressed, suppressedBytes                        *prometheus.Desc

	memory, cache, cacheDirty, cacheLimit *prometheus.Desc

	engine []engineMetric
}

// engineMetric is one number of a group's database.
type engineMetric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*pebblestore.Metrics) float64
}

func newMetricDescs() metricDescs {
	var d metricDescs
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		made := prometheus.NewDesc("millrace_"+name, help, labels, nil)
		d.all = append(d.all, made)
		return made
	}
	task := func(name, help string, labels ...string) *prometheus.Desc {
		return desc("task_"+name, help, append([]string{"group", "partition"}, labels...)...)
	}
	topic := func(name, help string) *prometheus.Desc {
		return desc("topic_"+name, help, "group", "partition", "topic")
	}
	store := func(name, help string) *prometheus.Desc {
		return desc("store_"+name, help, "group", "partition", "store")
	}

	d.clientState = desc("client_state", "1 for the state that the application on this instance is in.", "application", "state")
	d.clientStateSeconds = desc("client_state_seconds_total", "Time spent in a state.", "application", "state")
	for step := range observe.Rebalances {
		d.rebalanced[step] = desc("group_tasks_"+step.String()+"_latency_seconds", "Time that this instance took to carry out a rebalance: tasks "+step.String()+".", "group")
	}
	d.tasks = desc("group_tasks", "Partitions that this instance works on (active) or keeps a copy of (standby, warmup).", "group", "role")
	d.inputChanges = desc("group_input_changes_total", "Times that a group went on with other topics that match a source.", "group")
	d.unread = desc("unread_topics", "Topics that match a source and cannot be read.", "application")
	d.standbyLag = desc("standby_remaining_records", "Changelog offsets that a copy lacks.", "group", "partition")
	d.globalLag = desc("global_remaining_records", "Offsets of its topic that a global table lacks.", "table")
	d.globalRecords = desc("global_records_total", "Records of its topic that a global table has taken.", "table")
	d.globalDamaged = desc("global_damaged_total", "Times that a damaged global table was dropped, to be read again.", "table")
	d.age = desc("record_e2e_latency_seconds",
		"Age of records by their timestamps: at=source when an input record is processed, at=commit when its effects can be seen, at=sink when an output record can be seen.",
		"group", "topic", "at")

	d.state = task("state", "1 for the state that the task is in.", "state")
	d.time = task("time_seconds_total", "What the task spends its time with.", "activity")
	d.process = task("process_total", "Input records processed, aborted work included.")
	d.streamTime = task("stream_time_seconds", "Stream time of the task, since the Unix epoch.")
	d.held = task("stream_time_held_seconds", "How far an upstream task holds back the stream time of an operator; it is the largest of its operators.",
		"upstream", "upstream_partition")
	d.enforced = task("enforced_processing_total", "Units processed although an input was empty, since its idle time was over; since the last takeover.")
	d.dropped = task("dropped_records_total", "Records dropped, by reason.", "reason")
	d.late = task("dropped_late_seconds", "By how much records that were dropped came too late at most, by reason.", "reason")
	d.failures = task("failures_total", "Lives that ended with an error, by cause.", "cause")
	d.transactions = task("transactions_total", "Transactions by outcome.", "outcome")
	d.commitLatency = task("commit_latency_seconds", "Duration of successful commits; its count is the number of commits.")
	d.changelogRows = task("changelog_rows_total", "Rows committed, local index rows included.")
	d.restored = task("restore_total", "Changelog records restored.")
	d.damaged = task("state_damaged_total", "Times that damaged local state was dropped, to be restored.")
	d.restoreRemaining = task("restore_remaining_records", "Changelog offsets left to restore.")

	d.consumedRecords = topic("records_consumed_total", "Records processed of an input.")
	d.consumedBytes = topic("bytes_consumed_total", "Bytes of keys and values processed of an input.")
	d.lag = topic("records_lag", "Offsets between the task's position in an input and the end of its committed log.")
	d.lagSeconds = topic("records_lag_seconds", "Age of the oldest record of an input that waits, 0 if none does.")
	d.uncommitted = topic("uncommitted_records", "Offsets at the end of an input that belong to open transactions of others.")
	d.producedRecords = topic("records_produced_total", "Records committed to an output, the changelog included.")
	d.producedBytes = topic("bytes_produced_total", "Bytes of keys and values committed to an output.")

	d.storeGets = store("get_total", "Rows looked up.")
	d.storeHits = store("cache_hits_total", "Rows looked up that the cache had.")
	d.storePuts = store("put_total", "Rows written.")
	d.storeDeletes = store("delete_total", "Rows deleted, expired ones not included.")
	d.storeScans = store("range_total", "Ranges read.")
	d.storeExpired = store("expired_rows_total", "Rows deleted since their time was over.")
	d.storeFlushed = store("flushed_rows_total", "Dirty rows written by commits.")
	d.storeRows = store("cached_rows", "Rows in the cache.")
	d.storeBytes = store("cache_size_bytes", "Memory of the rows in the cache.")
	d.storeDirty = store("uncommitted_bytes", "Memory of the rows that are not committed yet.")

	d.suppressed = store("suppression_buffer_count", "Updates that a suppress buffer holds back.")
	d.suppressedBytes = store("suppression_buffer_size_bytes", "Keys and values of what a suppress buffer holds back.")

	d.memory = desc("memory_budget_bytes", "How the memory of this instance is split.", "part")
	d.cache = desc("cache_size_bytes", "Memory of the rows in the caches of all stores.")
	d.cacheDirty = desc("cache_uncommitted_bytes", "Memory of the rows that are not committed yet.")
	d.cacheLimit = desc("cache_limit_bytes", "Memory that the caches may take.")
	d.engine = newEngineMetrics(desc)
	return d
}

func newEngineMetrics(desc func(name, help string, labels ...string) *prometheus.Desc) []engineMetric {
	metric := func(kind prometheus.ValueType, name, help string, read func(*pebblestore.Metrics) float64) engineMetric {
		return engineMetric{desc("engine_"+name, help, "group"), kind, read}
	}
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	type metrics = pebblestore.Metrics
	return []engineMetric{
		metric(gauge, "size_all_mem_tables_bytes", "Memory of the memtables.", func(m *metrics) float64 { return float64(m.MemTableBytes) }),
		metric(gauge, "mem_tables", "Memtables, those that are being written included.", func(m *metrics) float64 { return float64(m.MemTables) }),
		metric(gauge, "disk_bytes", "Bytes on disk, obsolete files included.", func(m *metrics) float64 { return float64(m.DiskBytes) }),
		metric(gauge, "live_sst_files_size_bytes", "Bytes of the tables that hold state.", func(m *metrics) float64 { return float64(m.LiveTableBytes) }),
		metric(gauge, "live_sst_files", "Tables that hold state.", func(m *metrics) float64 { return float64(m.LiveTables) }),
		metric(gauge, "block_cache_usage_bytes", "Memory of the block cache.", func(m *metrics) float64 { return float64(m.CacheBytes) }),
		metric(counter, "block_cache_hits_total", "Blocks found in the block cache.", func(m *metrics) float64 { return float64(m.CacheHits) }),
		metric(counter, "block_cache_misses_total", "Blocks read from disk.", func(m *metrics) float64 { return float64(m.CacheMisses) }),
		metric(counter, "filter_hits_total", "Lookups that a bloom filter answered.", func(m *metrics) float64 { return float64(m.FilterHits) }),
		metric(counter, "filter_misses_total", "Lookups that a bloom filter let through.", func(m *metrics) float64 { return float64(m.FilterMisses) }),
		metric(counter, "flushes_total", "Memtables written to disk.", func(m *metrics) float64 { return float64(m.Flushes) }),
		metric(counter, "memtable_bytes_flushed_total", "Bytes that flushes wrote.", func(m *metrics) float64 { return float64(m.FlushedBytes) }),
		metric(counter, "compactions_total", "Compactions.", func(m *metrics) float64 { return float64(m.Compactions) }),
		metric(counter, "bytes_written_compaction_total", "Bytes that compactions wrote.", func(m *metrics) float64 { return float64(m.CompactedBytes) }),
		metric(counter, "compaction_time_seconds_total", "Time spent in compactions.", func(m *metrics) float64 { return m.CompactionTime.Seconds() }),
		metric(gauge, "estimate_pending_compaction_bytes", "Bytes that compactions have yet to rewrite.", func(m *metrics) float64 { return float64(m.CompactionDebt) }),
		metric(counter, "background_errors_total", "Compactions that failed.", func(m *metrics) float64 { return float64(m.FailedCompaction) }),
		metric(gauge, "read_amplification", "Tables that a lookup may have to look at.", func(m *metrics) float64 { return float64(m.ReadAmplification) }),
		metric(counter, "write_stalls_total", "How often commits had to wait for the disk.", func(m *metrics) float64 { return float64(m.WriteStalls) }),
		metric(counter, "write_stall_duration_seconds_total", "Time that commits had to wait for the disk.", func(m *metrics) float64 { return m.WriteStallTime.Seconds() }),
	}
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range c.descs.all {
		ch <- desc
	}
	c.app.requests.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	a, d, now := c.app, &c.descs, time.Now()
	out := series{ch: ch}
	current, _, spent := a.states.Read(now)
	out.gauge(d.clientState, 1, a.top.Name(), current.String())
	for s := Created; s <= Failed; s++ {
		out.counter(d.clientStateSeconds, spent[s].Seconds(), a.top.Name(), s.String())
	}
	out.gauge(d.unread, float64(len(a.topics.unread())), a.top.Name())
	for _, g := range a.groups() {
		c.collectGroup(series{ch, []string{g.plan().sub.Group()}}, g)
		for _, t := range g.tasks() {
			c.collectTask(series{ch, []string{g.plan().sub.Group(), strconv.Itoa(int(t.partition))}}, t, now)
		}
	}
	if globals := a.globals(); globals != nil {
		for _, t := range globals.tables {
			out.gauge(d.globalLag, float64(t.remaining()), t.plan.Name)
			out.counter(d.globalRecords, float64(t.records.Load()), t.plan.Name)
			out.counter(d.globalDamaged, float64(t.copy.Damaged()), t.plan.Name)
		}
	}
	for part, bytes := range a.memory.split.parts() {
		out.gauge(d.memory, float64(bytes), part)
	}
	out.gauge(d.cache, float64(a.memory.cache.Used()))
	out.gauge(d.cacheDirty, float64(a.memory.cache.Dirty()))
	out.gauge(d.cacheLimit, float64(a.memory.cache.Limit()))
	a.requests.Collect(ch)
}

func (c collector) collectGroup(out series, g *group) {
	d := &c.descs
	for step := range observe.Rebalances {
		h := g.stats.Rebalance(step)
		out.histogram(d.rebalanced[step], &h)
	}
	roles := map[string]int{"active": len(g.tasks()), "standby": 0, "warmup": 0}
	for _, s := range g.standbys.all() {
		info := s.info()
		if info.Warmup {
			roles["warmup"]++
		} else {
			roles["standby"]++
		}
		if info.Lag >= 0 {
			out.gauge(d.standbyLag, float64(info.Lag), strconv.Itoa(int(info.Partition)))
		}
	}
	for role, n := range roles {
		out.gauge(d.tasks, float64(n), role)
	}
	out.counter(d.inputChanges, float64(g.stats.InputChanges.Load()))
	g.stats.EachLatency(func(point observe.LatencyPoint, h observe.Histogram) { out.histogram(d.age, &h, point.Topic, point.At) })
	if engine, ok := g.engine.(pebblestore.Measured); ok {
		if m, err := engine.Metrics(); err == nil { // it is closed at the end
			for _, e := range d.engine {
				out.send(e.desc, e.kind, e.read(&m))
			}
		}
	}
}

func (c collector) collectTask(out series, t *task, now time.Time) {
	d, p := &c.descs, t.stats.snapshot(now)
	out.gauge(d.state, 1, taskState(t.state.Load()).String())
	for activity := range observe.Activities {
		out.counter(d.time, p.spent[activity].Seconds(), activity.String())
	}
	out.counter(d.process, float64(t.stats.records.Load()))
	if p.streamTime != engine.UnknownTime {
		out.gauge(d.streamTime, observe.Millis(p.streamTime).Seconds())
	}
	for by, held := range t.plan.heldBy(p.held) {
		out.gauge(d.held, observe.Millis(held).Seconds(), by.group, strconv.Itoa(int(by.partition)))
	}
	out.counter(d.enforced, float64(p.enforced))
	_, dropped := dropInfo(p.drops)
	for reason, n := range dropped {
		out.counter(d.dropped, float64(n), reason)
		if late := lateness(p.drops, reason); late > 0 {
			out.gauge(d.late, late.Seconds(), reason)
		}
	}
	for cause, n := range p.failures {
		out.counter(d.failures, float64(n), cause)
	}
	for o, n := range p.transactions {
		out.counter(d.transactions, float64(n), outcomeNames[o])
	}
	out.histogram(d.commitLatency, &p.commit.latency)
	out.counter(d.changelogRows, float64(p.commit.rows))
	out.counter(d.restored, float64(p.restored))
	out.counter(d.damaged, float64(t.group.damages.of(t.partition)))
	var remaining int64
	if r := t.stats.restore.Load(); r != nil && !r.Done {
		remaining = max(0, r.End-r.Next)
	}
	out.gauge(d.restoreRemaining, float64(remaining))
	for _, in := range p.inputs {
		out.counter(d.consumedRecords, float64(in.records), in.topic)
		out.counter(d.consumedBytes, float64(in.bytes), in.topic)
		if in.position < 0 || in.end < 0 {
			continue // not known yet, which is not 0
		}
		lag, age := in.lag(now)
		out.gauge(d.lag, float64(lag), in.topic)
		out.gauge(d.lagSeconds, age.Seconds(), in.topic)
		out.gauge(d.uncommitted, float64(max(0, in.high-in.end)), in.topic)
	}
	for topic, flow := range p.outputs {
		out.counter(d.producedRecords, float64(flow.records), topic)
		out.counter(d.producedBytes, float64(flow.bytes), topic)
	}
	for _, s := range p.stores {
		out.counter(d.storeGets, float64(s.Gets), s.Store)
		out.counter(d.storeHits, float64(s.Gets-s.Misses), s.Store)
		out.counter(d.storePuts, float64(s.Puts), s.Store)
		out.counter(d.storeDeletes, float64(s.Deletes), s.Store)
		out.counter(d.storeScans, float64(s.Scans), s.Store)
		out.counter(d.storeExpired, float64(s.Expired), s.Store)
		out.counter(d.storeFlushed, float64(s.Flushed), s.Store)
		out.gauge(d.storeRows, float64(s.CachedRows), s.Store)
		out.gauge(d.storeBytes, float64(s.CachedBytes), s.Store)
		out.gauge(d.storeDirty, float64(s.DirtyBytes), s.Store)
		if s.Kind == state.SuppressKind {
			out.gauge(d.suppressed, float64(s.Entries), s.Store)
			out.gauge(d.suppressedBytes, float64(s.EntriesBytes), s.Store)
		}
	}
}

// series sends metrics that share their first labels.
type series struct {
	ch     chan<- prometheus.Metric
	labels []string
}

func (s series) send(desc *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(desc, kind, v, slices.Concat(s.labels, labels)...)
}

func (s series) gauge(desc *prometheus.Desc, v float64, labels ...string) {
	s.send(desc, prometheus.GaugeValue, v, labels...)
}

func (s series) counter(desc *prometheus.Desc, v float64, labels ...string) {
	s.send(desc, prometheus.CounterValue, v, labels...)
}

func (s series) histogram(desc *prometheus.Desc, h *observe.Histogram, labels ...string) {
	s.ch <- prometheus.MustNewConstHistogram(desc, h.Count(), h.Sum(), h.Buckets(), slices.Concat(s.labels, labels)...)
}
