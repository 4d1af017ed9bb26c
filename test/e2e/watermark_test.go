package e2e

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// timeSite is an application that counts records of an ordered topic in windows, downstream of a repartition.
type timeSite struct {
	*cluster
	in, updates, finals string
	stuck               chan struct{} // the task that reads "stuck" waits until it is closed
	top                 *topology.Topology
	dropped             atomic.Int64
	truth               map[string]int64 // by window and key
	sent                int
	last                map[string]int64 // the largest timestamp of each key
}

const (
	windowSize  = 10 * time.Minute
	windowGrace = time.Minute

	// waitCaughtUp is long, since many applications of these tests catch up at the same time.
	waitCaughtUp = 3 * time.Minute
)

func newTimeSite(t *testing.T, partitions int32) *timeSite {
	t.Helper()
	w := &timeSite{
		cluster: openCluster(t), in: unique("in"), updates: unique("updates"), finals: unique("finals"), stuck: make(chan struct{}), truth: make(map[string]int64), last: make(map[string]int64),
	}
	w.createSized(t, partitions, w.in)
	w.createSized(t, 1, w.updates, w.finals)
	b := topology.NewBuilder(unique("windowed"))
	windows := topology.Tumbling(windowSize).Grace(windowGrace)
	flights := topology.Source(b, w.in, codecs.String, codecs.String).
		Peek(func(r topology.Record[string, string]) {
			if r.Value == "stuck" {
				<-w.stuck
			}
		}).
		GroupBy("by-value", func(_, v string) string { return v }, codecs.String, codecs.String)
	name := func(key string, w state.Window) string { return fmt.Sprintf("%s@%d", key, w.Start) }
	flights.WindowedBy(windows).Count("counts").ToStream(name).To(w.updates, codecs.String, codecs.Int64)
	flights.WindowedBy(windows).EmitOnClose().Count("finals").ToStream(name).To(w.finals, codecs.String, codecs.Int64)
	top, err := b.Build()
	require.NoError(t, err)
	w.top = top
	return w
}

func (w *timeSite) start(t *testing.T, dir string) (stop func()) {
	t.Helper()
	_, stop = w.startWith(t, dir, func(*processors.Config) {})
	return stop
}

func (w *timeSite) startWith(t *testing.T, dir string, change func(cfg *processors.Config)) (app *processors.App, stop func()) {
	t.Helper()
	cfg := processors.Config{
		Brokers: w.brokers, Dir: dir, Logger: testLogger(t), CommitInterval: 20 * time.Millisecond, SessionTimeout: 6 * time.Second,
		IdleTimeout: time.Second, HandoverTimeout: -1,
		Hooks: processors.Hooks{Dropped: func(_ string, d engine.Drop) {
			if d.Reason == topology.DropLateWindow {
				w.dropped.Add(1)
			}
		}},
	}
	change(&cfg)
	app, err := processors.New(w.top, cfg)
	require.NoError(t, err)
	return app, inBackground(t, app.Run)
}

// record returns the next record of a partition, and counts it.
func (w *timeSite) record(partition int32, at int64) *kgo.Record {
	return w.recordOf(partition, at, fmt.Sprint("carrier ", w.sent%7))
}

func (w *timeSite) recordOf(partition int32, at int64, value string) *kgo.Record {
	w.sent++
	w.last[value] = max(w.last[value], at)
	w.truth[fmt.Sprintf("%s@%d", value, at/windowSize.Milliseconds()*windowSize.Milliseconds())]++
	return &kgo.Record{Topic: w.in, Partition: partition, Key: fmt.Append(nil, w.sent), Value: []byte(value), Timestamp: time.UnixMilli(at)}
}

// produce writes records to the partitions that they name.
func (w *timeSite) produce(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	kafka, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer kafka.Close()
	require.NoError(t, kafka.ProduceSync(t.Context(), records...).FirstErr())
}

// result reads a topic of windows: the last count of each, and how many results each had.
func (w *timeSite) result(t *testing.T, topic string) (counts, results map[string]int64) {
	t.Helper()
	counts, results = make(map[string]int64), make(map[string]int64)
	for _, r := range brokertest.Records(t, w.brokers, topic)[0] {
		n, err := codecs.Int64.Decode(r.Value)
		require.NoError(t, err)
		counts[string(r.Key)] = n
		results[string(r.Key)]++
	}
	return counts, results
}

// requireTruth waits until all records are counted, and compares.
func (w *timeSite) requireTruth(t *testing.T) {
	t.Helper()
	var counts map[string]int64
	require.Eventually(t, func() bool {
		counts, _ = w.result(t, w.updates)
		var sum int64
		for _, n := range counts {
			sum += n
		}
		return sum+w.dropped.Load() >= int64(w.sent)
	}, waitCaughtUp, 500*time.Millisecond, "not everything was counted")
	require.Zero(t, w.dropped.Load(), "late records")
	require.Equal(t, w.truth, counts)
	require.Eventually(t, func() bool { // when the upstream tasks are idle, all windows that time has passed are closed
		finals, _ := w.result(t, w.finals)
		for name := range w.truth {
			key, number, _ := strings.Cut(name, "@")
			start, err := strconv.ParseInt(number, 10, 64)
			require.NoError(t, err)
			if _, ok := finals[name]; !ok && start+(windowSize+windowGrace).Milliseconds() <= w.last[key] {
				return false
			}
		}
		return true
	}, waitCaughtUp, 500*time.Millisecond, "windows stay open")
	finals, results := w.result(t, w.finals)
	for name, n := range finals {
		require.Equal(t, w.truth[name], n, "final result of %s", name)
		require.EqualValues(t, 1, results[name], "final results of %s", name)
	}
}

const (
	dayOne = int64(1_700_006_400_000) // begins a window
	day    = int64(24 * time.Hour / time.Millisecond)
)

// catchUp returns what the partitions hold when the application starts: all of them a day, each its own number of
// records, so that their tasks advance at different speeds, and each later than the one before by skew.
func (w *timeSite) catchUp(partitions int32, skew int64) (records []*kgo.Record) {
	for p := range partitions {
		n := int64(100) << (p % 6)
		for i := range n {
			records = append(records, w.record(p, dayOne+int64(p)*skew+i*day/n))
		}
	}
	return records
}

// Ordered records of several partitions are counted downstream of a repartition. None is late because another partition
// was read faster, however far the partitions are apart.
func TestWatermark_catchUp(t *testing.T) {
	for _, c := range []struct {
		partitions int32
		skew       time.Duration
		instances  int
	}{
		{4, 0, 1}, {4, time.Hour, 3}, {4, 24 * time.Hour, 1}, {16, 0, 3}, {16, 7 * time.Minute, 1},
	} {
		t.Run(fmt.Sprintf("%d partitions, %v apart, %d instances", c.partitions, c.skew, c.instances), func(t *testing.T) {
			t.Parallel()
			w := newTimeSite(t, c.partitions)
			w.produce(t, w.catchUp(c.partitions, c.skew.Milliseconds())...)
			for range c.instances {
				defer w.start(t, t.TempDir())()
			}
			w.requireTruth(t)
		})
	}
}

// Instances come and go, and the application stops for a while, in the middle. Records that came meanwhile are not
// late, although the upstream tasks were idle when it stopped.
func TestWatermark_interrupted(t *testing.T) {
	t.Parallel()
	w := newTimeSite(t, 4)
	w.produce(t, w.catchUp(4, 0)...)
	first, second := t.TempDir(), t.TempDir()
	stop := w.start(t, first)
	stopSecond := w.start(t, second)
	stop()
	stop = w.start(t, first)
	stopSecond()
	w.requireTruth(t)
	stop()

	for p := range int32(4) {
		n := int64(50) << p
		var records []*kgo.Record
		for i := range n {
			records = append(records, w.record(p, dayOne+day+i*day/n))
		}
		w.produce(t, records...)
	}
	defer w.start(t, first)()
	w.requireTruth(t)
}

// The partitions get records while the application runs, at different speeds and with different times.
func TestWatermark_live(t *testing.T) {
	t.Parallel()
	w := newTimeSite(t, 4)
	defer w.start(t, t.TempDir())()
	dice := rand.New(rand.NewPCG(1, 2))
	at := [4]int64{dayOne, dayOne + day/24, dayOne + day/2, dayOne + day}
	for p := range at { // they are heard of before any of them is far ahead
		w.produce(t, w.record(int32(p), at[p]))
	}
	for range 100 {
		var records []*kgo.Record
		for p := range at {
			for range 1 + dice.IntN(20) {
				at[p] += dice.Int64N(time.Minute.Milliseconds())
				records = append(records, w.record(int32(p), at[p]))
			}
		}
		w.produce(t, records...)
	}
	w.requireTruth(t)
}

// A partition whose task has something to read and does not work holds the windows open; when it works, nothing is
// late.
func TestWatermark_idleTaskIsDoubted(t *testing.T) {
	t.Parallel()
	w := newTimeSite(t, 4)
	stop := w.start(t, t.TempDir())
	for p := range int32(4) {
		w.produce(t, w.record(p, dayOne))
	}
	w.requireTruth(t)
	require.Eventually(t, func() bool { return w.idle(t) }, waitCaughtUp, tick) // all upstream tasks have told that they are idle
	// A burst after a pause reaches all partitions, of which the tasks read one faster than another.
	w.produce(t, w.catchUp(4, 0)...)
	w.requireTruth(t)
	stop()
}

// idle says whether all upstream tasks have told every partition that they are idle.
func (w *timeSite) idle(t *testing.T) bool {
	t.Helper()
	topic := w.top.SubTopologies()[1].Inputs()[0].Topic
	told := make(map[string]bool)
	for p, records := range brokertest.Records(t, w.brokers, topic) {
		for _, r := range records {
			if len(r.Headers) == 2 && r.Headers[1].Key == "millrace-time" {
				told[fmt.Sprintf("%d %x", p, r.Headers[0].Value)] = len(r.Headers[1].Value) == 10
			}
		}
	}
	for _, idle := range told {
		if !idle {
			return false
		}
	}
	return len(told) == 16
}

// held returns what holds the time of the downstream tasks back, by operator and upstream partition.
func held(app *processors.App, t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for _, g := range app.Info(t.Context()).Groups {
		for _, task := range g.Tasks {
			for _, h := range task.Held {
				all[fmt.Sprintf("%s waits for %d", h.Node, h.Partition)] = true
			}
		}
	}
	return all
}

// An upstream task that is stuck holds the windows open, and an operator sees which it is. When it goes on, nothing is
// late.
func TestWatermark_stuckTaskHoldsWindowsOpen(t *testing.T) {
	t.Parallel()
	w := newTimeSite(t, 4)
	app, stop := w.startWith(t, t.TempDir(), func(*processors.Config) {})
	defer stop()
	w.produce(t, w.recordOf(2, dayOne+1, "stuck"))
	for i := range int64(40) {
		for _, p := range []int32{0, 1, 3} {
			w.produce(t, w.record(p, dayOne+i*60_000))
		}
	}
	require.Eventually(t, func() bool {
		counts, _ := w.result(t, w.updates)
		all := held(app, t)
		return len(counts) == 7*4 && all["counts waits for 2"] && all["finals waits for 2"]
	}, waitCaughtUp, tick)
	require.NotContains(t, held(app, t), "counts waits for 1")
	finals, _ := w.result(t, w.finals)
	require.Empty(t, finals)
	w.produce(t, w.record(2, dayOne+2))
	close(w.stuck)
	w.requireTruth(t)
	require.Eventually(t, func() bool { return len(held(app, t)) == 0 }, waitCaughtUp, tick, "nothing is held when all are idle")
}

// The wait for a stuck task can be bounded. Then the windows close without it, and its records are late.
func TestWatermark_boundedWait(t *testing.T) {
	t.Parallel()
	w := newTimeSite(t, 4)
	log := &brokertest.Log{}
	_, stop := w.startWith(t, t.TempDir(), func(cfg *processors.Config) {
		cfg.MaxUpstreamWait = 2 * time.Second
		cfg.Logger = log.Logger()
	})
	defer stop()
	w.produce(t, w.recordOf(2, dayOne+1, "stuck"))
	for i := range int64(40) {
		for _, p := range []int32{0, 1, 3} {
			w.produce(t, w.record(p, dayOne+i*60_000))
		}
	}
	require.Eventually(t, func() bool {
		finals, _ := w.result(t, w.finals)
		return len(finals) >= 7
	}, waitCaughtUp, tick)
	require.Contains(t, log.String(), "waited for no longer")
	w.produce(t, w.recordOf(2, dayOne+2, "carrier 1"))
	close(w.stuck)
	require.Eventually(t, func() bool { return w.dropped.Load() > 0 }, waitCaughtUp, tick)
}

// Partitions that never get a record do not hold windows open once their tasks have said that they are idle.
func TestWatermark_emptyPartitions(t *testing.T) {
	t.Parallel()
	w := newTimeSite(t, 16)
	defer w.start(t, t.TempDir())()
	for i := range int64(40) {
		w.produce(t, w.record(5, dayOne+i*60_000))
	}
	w.requireTruth(t)
}

// With AlignWithin no upstream task is further ahead of the slowest than that.
func TestWatermark_alignment(t *testing.T) {
	t.Parallel()
	const within = time.Hour
	w := newTimeSite(t, 4)
	app, stop := w.startWith(t, t.TempDir(), func(cfg *processors.Config) {
		cfg.AlignWithin, cfg.IdleTimeout = within, 10*time.Second // an idle task is not waited for
	})
	defer stop()
	times := func() (all [4]time.Time, waits bool) {
		for _, g := range app.Info(t.Context()).Groups {
			if g.Group != w.top.SubTopologies()[0].Group() {
				continue
			}
			for _, task := range g.Tasks { // in the order of the partitions
				if task.StreamTime != nil {
					all[task.Partition] = *task.StreamTime
				}
				waits = waits || strings.Contains(task.WaitsFor, "AlignWithin")
			}
		}
		return all, waits
	}
	for p := range int32(4) {
		w.produce(t, w.record(p, dayOne))
	}
	w.requireTruth(t) // all have committed, and so are waited for
	records := w.catchUp(4, 0)
	slow := records[len(records)-800:] // of the last partition
	w.produce(t, append(records[:len(records)-800], slow[:400]...)...)
	require.Eventually(t, func() bool {
		all, waits := times()
		require.LessOrEqual(t, all[0].Sub(all[3]), within)
		return waits
	}, waitCaughtUp, time.Millisecond, "no task waits")
	w.produce(t, slow[400:]...)
	// Beyond a gap that is longer than they may be apart, they go on.
	const gap = 12 * time.Hour
	for p := range int32(4) {
		for i := range int64(20) {
			w.produce(t, w.record(p, dayOne+day+gap.Milliseconds()+i*60_000))
		}
	}
	require.Eventually(t, func() bool {
		all, _ := times()
		return all[0].UnixMilli() > dayOne+day+gap.Milliseconds()
	}, waitCaughtUp, time.Millisecond)
	w.requireTruth(t)
}
