package topology_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// Calls end at any time and in any order, and tasks are interrupted. After two asynchronous operators and a
// repartition, the records of each key still come out once and in their order, and their counts are right.
func TestProcessAsync_keepsTheOrderOfEachKey(t *testing.T) {
	str := codecs.String
	suffix := func(s string) func(context.Context, record) (string, error) {
		return func(_ context.Context, r record) (string, error) { return r.Value + s, nil }
	}
	runs := uint64(40)
	if testing.Short() {
		runs = 4
	}
	overtaken := 0
	for seed := range runs {
		dice := rand.New(rand.NewPCG(seed, 5))
		concurrency := 1 + dice.IntN(5)
		d := topologytest.NewDriver(t, build(t, "app", func(b *topology.Builder) {
			s := flights(b).ProcessAsync("first", concurrency, suffix("1"))
			s.To("out", str, str)
			s.ProcessAsync("second", concurrency, suffix("2")).
				Repartition("through", str, str).
				ProcessAsync("third", concurrency, suffix("3")).
				GroupByKey().Aggregate("all", none, join, str).ToStream().To("all", str, str)
		}), topologytest.CallsRandomly(seed), topologytest.CommitRandomly(seed), topologytest.CacheBytes(1),
			topologytest.Partitions(1+int32(seed%3)))
		in := topologytest.Input(d, "flights", str, str)
		want, all, sent := make(map[string][]record), make(map[string][]string), []record{}
		for i := range 150 {
			r := record{Key: string(rune('a' + dice.IntN(5))), Value: fmt.Sprint(i, "-"), Timestamp: int64(i)}
			passed := r
			if dice.IntN(10) == 0 {
				r.Value, r.NullValue = "", true
				passed.Value, passed.NullValue = "", true
			} else {
				passed.Value += "1"
				before := ""
				if n := len(all[r.Key]); n > 0 {
					before = all[r.Key][n-1]
				}
				all[r.Key] = append(all[r.Key], join("", passed.Value+"23", before))
			}
			in.PipeRecord(r)
			want[r.Key], sent = append(want[r.Key], passed), append(sent, passed)
			switch dice.IntN(20) {
			case 0:
				d.Restart()
			case 1:
				d.Restore()
			case 2, 3:
				d.Crash()
			}
		}
		d.Commit()
		got, order := make(map[string][]record), topologytest.Output(d, "out", str, str).Drain()
		for _, r := range order {
			got[r.Key] = append(got[r.Key], r)
		}
		require.Equal(t, want, got, "seed %d", seed)
		for i := range order {
			if order[i].Timestamp != sent[i].Timestamp {
				overtaken++
			}
		}
		gotAll := make(map[string][]string)
		for _, r := range topologytest.Output(d, "all", str, str).Drain() {
			gotAll[r.Key] = append(gotAll[r.Key], r.Value)
		}
		require.Equal(t, all, gotAll, "seed %d", seed)
	}
	require.Positive(t, overtaken, "records of other keys overtake")
}

// calls is an executor that a test controls: calls run when their results are asked for.
type calls struct {
	started  []*engine.Call
	accepted int
	most     int
	canceled int
}

func (c *calls) Accept(*engine.Call) { c.accepted++ }
func (c *calls) Start(call *engine.Call) {
	c.started = append(c.started, call)
	c.most = max(c.most, len(c.started))
}

func (c *calls) Ended(wait bool) (*engine.Call, error) {
	if !wait || len(c.started) == 0 {
		return nil, nil //nolint:nilnil // no call is no error
	}
	call := c.started[0]
	c.started = c.started[1:]
	call.Run(context.Background())
	return call, nil
}
func (c *calls) Within(_ *engine.Call, f func() error) error { return f() }
func (c *calls) Cancel()                                     { c.started, c.canceled = nil, c.canceled+1 }

func asyncTask(ctx context.Context, t *testing.T, executor engine.Executor, f func(context.Context, record) (string, error)) *engine.Task {
	t.Helper()
	top := build(t, "app", func(b *topology.Builder) {
		out(flights(b).ProcessAsync("call", 3, f, topology.CallTimeout(time.Second)))
	})
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	task, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: nothing{}, Executor: executor, Context: ctx})
	require.NoError(t, err)
	t.Cleanup(task.Close)
	return task
}

func process(t *testing.T, task *engine.Task, offset int64, key, value string) error {
	t.Helper()
	return task.Process(0, &engine.RawRecord{Key: []byte(key), Value: []byte(value), Offset: offset})
}

// The running calls and the waiting records stay within their bounds, and each key has one running call at most.
func TestProcessAsync_isBounded(t *testing.T) {
	c := new(calls)
	task := asyncTask(t.Context(), t, c, lookUp)
	for i := range 200 {
		require.NoError(t, process(t, task, int64(i), fmt.Sprint(i%50), "v"))
		require.LessOrEqual(t, task.InFlight(), 48)
	}
	require.Equal(t, 3, c.most)
	require.Equal(t, time.Second, c.started[0].Timeout)
	require.ErrorContains(t, task.Flush(new(state.Batch)), "48 records wait for calls; call Drain first")
	require.NoError(t, task.Poll())
	require.Equal(t, 48, task.InFlight(), "Poll does not wait")
	require.NoError(t, task.Drain())
	require.Zero(t, task.InFlight())
	require.NoError(t, task.Flush(new(state.Batch)))
	require.Equal(t, 200, c.accepted)

	c.most = 0
	for i := range 10 {
		require.NoError(t, process(t, task, int64(i), "same", "v"))
	}
	require.Equal(t, 1, c.most, "one call of a key")
	require.NoError(t, process(t, task, 10, "other", "v"))
	require.Equal(t, 2, c.most, "other keys go on")
	task.Rollback()
	require.Zero(t, task.InFlight())
	require.Equal(t, 1, c.canceled)
	require.NoError(t, task.Drain())
}

// An error or a panic of a call is attributed to the record of the call, although the task has gone on by then.
func TestProcessAsync_failuresNameTheirRecord(t *testing.T) {
	ending, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx        context.Context //nolint:containedctx // a case of the test
		f          func(context.Context, record) (string, error)
		attributed bool
		want       string
	}{
		"error": {t.Context(), lookUp, true, `node "call": topic "flights" partition 0 offset 7: no flight b`},
		"panic": {t.Context(), func(_ context.Context, r record) (string, error) {
			if r.Value == "gone" {
				panic("oops")
			}
			return "", nil
		}, true, `node "call": topic "flights" partition 0 offset 7: panic: oops`},
		"ending": {ending, lookUp, false, `offset 7: no flight b`},
	} {
		t.Run(name, func(t *testing.T) {
			task := asyncTask(c.ctx, t, new(calls), c.f)
			require.NoError(t, process(t, task, 6, "a", "v"))
			require.NoError(t, process(t, task, 7, "b", "gone"))
			require.NoError(t, process(t, task, 8, "c", "v"))
			err := task.Drain()
			require.ErrorContains(t, err, c.want)
			_, attributed := errors.AsType[*engine.RecordError](err)
			require.Equal(t, c.attributed, attributed)
		})
	}
}

func TestProcessAsync_needsAnExecutor(t *testing.T) {
	top := build(t, "app", func(b *topology.Builder) { out(flights(b).ProcessAsync("call", 3, lookUp)) })
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	_, err = top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: nothing{}})
	require.ErrorContains(t, err, "TaskConfig.Executor is nil, and there are asynchronous operators")
}
