package broker_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/state"
)

// memoryTable is a TableStore over an in-memory partition.
type memoryTable struct {
	state.Partition
	restored []string
}

func (m *memoryTable) Restore(run *broker.Run) error {
	var b state.Batch
	for key, value := range run.Rows() {
		b.Set(key, value)
		m.restored = append(m.restored, string(key))
	}
	b.SetOffset(run.Last())
	return m.Apply(&b)
}

func newMemoryTable(t *testing.T) *memoryTable {
	t.Helper()
	engine := state.NewMemory()
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	part, err := engine.Open(0)
	require.NoError(t, err)
	return &memoryTable{Partition: part}
}

// runGroupTask runs life inside goka and returns when goka's processor has ended.
func runGroupTask(t *testing.T, client *broker.Client, table broker.TableStore, process func(any) error,
	life func(ctx context.Context, task *broker.GroupTask, sessions *broker.Sessions) error,
) error {
	t.Helper()
	fetcher, err := broker.NewFetcher(client, nil)
	require.NoError(t, err)
	defer fetcher.Close()
	var task *broker.GroupTask
	task, err = broker.NewGroupTask(broker.GroupTaskConfig{
		Client: client, Restores: fetcher, Group: "g", Inputs: []string{"in"}, Partition: 0,
		Table: table, Process: process, Logger: slog.New(slog.DiscardHandler),
		Run: func(ctx context.Context, sessions *broker.Sessions) error { return life(ctx, task, sessions) },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return task.Run(ctx)
}

func TestGroupTask_recoversATransactionalTableAndProcesses(t *testing.T) {
	client := fenceCluster(t, "in", "g-table")
	w := takeOver(t, client, "c.g.0")
	for _, v := range []string{"k1", "k2"} {
		require.NoError(t, w.Begin())
		produce(w, "g-table", v)
		require.NoError(t, w.Commit(t.Context(), nil))
	}
	require.NoError(t, w.Begin())
	produce(w, "g-table", "aborted")
	require.NoError(t, w.Flush(t.Context()))
	takeOver(t, client, "c.g.0") // aborts it: the log now ends in a marker after an aborted record

	table := newMemoryTable(t)
	var processed []any
	err := runGroupTask(t, client, table, func(work any) error { processed = append(processed, work); return nil },
		func(ctx context.Context, task *broker.GroupTask, sessions *broker.Sessions) error {
			require.NoError(t, sessions.Start(ctx))
			require.Equal(t, []string{"k1", "k2"}, table.restored)

			require.NoError(t, sessions.Deliver("in", 41, time.UnixMilli(1000), "first"))
			require.NoError(t, sessions.Deliver("in", 42, time.UnixMilli(1000), "second"))
			require.Equal(t, []any{"first", "second"}, processed)
			require.Eventually(t, func() bool { // goka counts after its callback has returned
				input := task.Stats(ctx).Group[0].Input["in"]
				return input.Count == 2 && input.LastOffset == 42
			}, 5*time.Second, time.Millisecond)
			sessions.Acknowledge()
			require.NoError(t, sessions.Stop())
			require.NoError(t, sessions.Stop(), "stopping twice is fine")

			table.restored = nil
			require.NoError(t, sessions.Start(ctx), "a second session in the same Consume")
			require.Empty(t, table.restored, "nothing new to restore")
			require.NoError(t, sessions.Deliver("in", 43, time.UnixMilli(1000), "third"))
			return nil
		})
	require.NoError(t, err)
	require.Equal(t, []any{"first", "second", "third"}, processed)
}

func TestGroupTask_failureEndsTheSessionNotTheProcessor(t *testing.T) {
	client := fenceCluster(t, "in", "g-table")
	failure := errors.New("operator failed")
	fail := true
	err := runGroupTask(t, client, newMemoryTable(t), func(any) error {
		if fail {
			return failure
		}
		return nil
	}, func(ctx context.Context, _ *broker.GroupTask, sessions *broker.Sessions) error {
		require.NoError(t, sessions.Start(ctx))
		require.ErrorIs(t, sessions.Deliver("in", 1, time.Now(), "x"), failure)
		require.Error(t, sessions.Stop(), "goka tells that the work was never committed")

		fail = false
		require.NoError(t, sessions.Start(ctx))
		require.NoError(t, sessions.Deliver("in", 1, time.Now(), "x"))
		sessions.Acknowledge()
		return nil
	})
	require.NoError(t, err)
}

func TestGroupTask_recoveryFailureIsAnErrorOfStart(t *testing.T) {
	client := fenceCluster(t, "in", "g-table")
	w := takeOver(t, client, "c.g.0")
	require.NoError(t, w.Begin())
	produce(w, "g-table", "k1")
	require.NoError(t, w.Commit(t.Context(), nil))

	table := &brokenTable{newMemoryTable(t)}
	err := runGroupTask(t, client, table, func(any) error { return nil },
		func(ctx context.Context, _ *broker.GroupTask, sessions *broker.Sessions) error {
			err := sessions.Start(ctx)
			require.ErrorContains(t, err, "disk full")
			require.ErrorContains(t, err, "group g, partition 0")
			return nil
		})
	require.NoError(t, err)
}

type brokenTable struct{ *memoryTable }

func (*brokenTable) Restore(*broker.Run) error { return errors.New("disk full") }
