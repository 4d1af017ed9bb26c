package topology_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// If a child fails, its error is the failure, whatever the processor returns, and nothing is forwarded after it.
func TestProcess_aChildsFailureIsNotTheProcessors(t *testing.T) {
	var forwarded []string
	d := topologytest.NewDriver(t, build(t, "app", func(b *topology.Builder) {
		out(flights(b).Process("a", func(p scope) (processor, error) {
			return func(_ context.Context, r record) error {
				p.Forward(r)
				r.Value = "second"
				p.Forward(r)
				return errors.New("for nothing")
			}, nil
		}).MapValues(func(v string) string {
			forwarded = append(forwarded, v)
			panic("bad " + v)
		}, topology.Named("below")))
	}))
	err := topologytest.Input(d, "flights", codecs.String, codecs.String).TryPipe(record{Key: "k", Value: "v"})
	var failed *engine.RecordError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "below", failed.Node)
	require.Equal(t, []string{"v"}, forwarded)
}

// After a rollback the processor is a new one: it remembers nothing of the work that was rolled back, and the old one
// is closed.
func TestProcess_isCreatedAgainAfterARollback(t *testing.T) {
	created, closed := 0, 0
	d := topologytest.NewDriver(t, build(t, "app", func(b *topology.Builder) {
		out(flights(b).Process("a", func(p scope) (processor, error) {
			created++
			p.OnClose(func() { closed++ })
			all := ""
			return func(_ context.Context, r record) error {
				if r.Value == "bad" {
					return errors.New("refused")
				}
				all += r.Value
				r.Value = all
				p.Forward(r)
				return nil
			}, nil
		}))
	}), topologytest.CommitEvery(100))
	require.Equal(t, []int{2, 1}, []int{created, closed}, "one for Build")
	in := topologytest.Input(d, "flights", codecs.String, codecs.String)
	in.Pipe("k", "a", 1)
	in.Pipe("k", "b", 2)
	require.ErrorContains(t, in.TryPipe(record{Key: "k", Value: "bad"}), `node "a": topic "flights" partition 0 offset 2: refused`)
	in.Pipe("k", "c", 3)
	require.Equal(t, []int{3, 2}, []int{created, closed})
	var got []string
	for _, r := range topologytest.Output(d, "out", codecs.String, codecs.String).Drain() {
		got = append(got, r.Value)
	}
	require.Equal(t, []string{"a", "ab", "abc"}, got)
}

// brokenState fails when it is read.
type brokenState struct{ state.Partition }

var errDisk = errors.New("disk")

func (brokenState) Get([]byte, []byte) ([]byte, bool, error) { return nil, false, errDisk }
func (brokenState) Scan([]byte, []byte) iter.Seq2[state.Row, error] {
	return func(yield func(state.Row, error) bool) { yield(state.Row{}, errDisk) }
}

// A failure of the disk, or the end of the task, is not attributed to the record, whatever the processor returns.
func TestProcess_errorsThatTheRecordIsNotToBlameFor(t *testing.T) {
	str := codecs.String
	ending, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx context.Context //nolint:containedctx // a case of the test
		do  func(ctx context.Context, rows *state.KeyValue[string, string]) error
	}{
		"returned": {do: func(_ context.Context, rows *state.KeyValue[string, string]) error {
			_, _, _, err := rows.Get("k")
			return err
		}},
		"swallowed": {do: func(_ context.Context, rows *state.KeyValue[string, string]) error {
			_, _, _, _ = rows.Get("k")
			return nil
		}},
		"panic": {do: func(_ context.Context, rows *state.KeyValue[string, string]) error {
			_, _, _, err := rows.Get("k")
			panic(err)
		}},
		"scan": {do: func(_ context.Context, rows *state.KeyValue[string, string]) error {
			for _, err := range rows.Range(nil, nil) {
				return err
			}
			return nil
		}},
		"ending": {ctx: ending, do: func(ctx context.Context, _ *state.KeyValue[string, string]) error { return ctx.Err() }},
	} {
		t.Run(name, func(t *testing.T) {
			top := build(t, "app", func(b *topology.Builder) {
				store := topology.KeyValueStore(b, "s", str, str)
				flights(b).Process("a", func(p scope) (processor, error) {
					rows := store.In(p)
					return func(ctx context.Context, _ record) error { return c.do(ctx, rows) }, nil
				})
			})
			part, err := state.NewMemory().Open(0)
			require.NoError(t, err)
			if c.ctx == nil {
				part = brokenState{part}
			}
			task, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: nothing{}, Context: c.ctx})
			require.NoError(t, err)
			defer task.Close()
			err = task.Process(0, &engine.RawRecord{Key: []byte("k"), Value: []byte("v")})
			require.ErrorContains(t, err, `node "a": topic "flights" partition 0 offset 0: `)
			_, attributed := errors.AsType[*engine.RecordError](err)
			require.False(t, attributed)
			if c.ctx == nil {
				require.ErrorIs(t, err, errDisk)
			}
		})
	}
}

func TestProcess_commitsAndTimes(t *testing.T) {
	top := build(t, "app", func(b *topology.Builder) {
		flights(b).Process("a", func(p scope) (processor, error) {
			p.Schedule(time.Minute, topology.WallClock, func(context.Context, int64) error {
				_, ok := p.Metadata()
				require.False(t, ok)
				return nil
			})
			return func(_ context.Context, r record) error {
				require.Equal(t, r.Timestamp, p.StreamTime())
				require.EqualValues(t, 7000, p.WallClock())
				require.EqualValues(t, 3, p.Partition())
				p.RequestCommit()
				return nil
			}, nil
		})
	})
	part, err := state.NewMemory().Open(3)
	require.NoError(t, err)
	task, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{Partition: 3, State: part, Sink: nothing{}, WallClock: 5000})
	require.NoError(t, err)
	defer task.Close()
	due, ok := task.WallClockDue()
	require.True(t, ok)
	require.EqualValues(t, 65_000, due)
	require.NoError(t, task.AdvanceWallClock(7000))
	require.False(t, task.CommitRequested())
	require.NoError(t, task.Process(0, &engine.RawRecord{Timestamp: 9}))
	require.True(t, task.CommitRequested())
	require.NoError(t, task.Flush(new(state.Batch)))
	task.Committed()
	require.False(t, task.CommitRequested())
	require.NoError(t, task.AdvanceWallClock(200_000))
	due, _ = task.WallClockDue()
	require.EqualValues(t, 245_000, due, "multiples that were missed count once")
	task.Rollback()
	due, _ = task.WallClockDue()
	require.EqualValues(t, 65_000, due, "as of the last commit")

	require.NoError(t, task.AdvanceWallClock(200_000))
	require.NoError(t, task.AdvanceWallClock(100_000))
	due, _ = task.WallClockDue()
	require.EqualValues(t, 145_000, due, "the clock was set back by 100 s, and the schedule with it")
	task.Rollback()
	due, _ = task.WallClockDue()
	require.EqualValues(t, 65_000-100_000, due, "what was committed as well: it is overdue, as before")
}

// A view of a shared store waits for all topics that are written into it.
func TestProcess_aSharedStoreIsReachedByAllThatWriteIt(t *testing.T) {
	str := codecs.String
	top := build(t, "app", func(b *topology.Builder) {
		s := topology.KeyValueStore(b, "s", str, str)
		use := func(p scope) (processor, error) { s.In(p); return idle, nil }
		flights(b).Process("a", use)
		topology.Source(b, "others", str, str).Process("b", use)
		loop := topology.Source(b, "far", str, str).Repartition("r", str, str)
		loop.Process("c", use)
	})
	ref, ok := top.Table("s")
	require.True(t, ok)
	require.Equal(t, []string{"flights", "others"}, ref.Direct)
	require.Equal(t, []string{"far"}, ref.Derived)
	require.Equal(t, "app-a", ref.Group)
}
