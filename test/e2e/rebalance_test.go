package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
)

// A second instance joins and the first leaves while records keep coming: every record still counts once.
func TestPipeline_instancesJoinAndLeaveUnderLoad(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	top := wordCount(t, unique("words"), source)

	first := startPipeline(t, c, top, t.TempDir())
	offsets := c.produce(t, source, 0, 1000)
	first.requireCounts(t, 1000, offsets)

	second := startPipeline(t, c, top, t.TempDir())
	offsets = offsets.Merge(c.produce(t, source, 1000, 1000))
	requireTasks(t, second, 4) // half of two groups of four tasks each
	requireTasks(t, first, 4)
	offsets = offsets.Merge(c.produce(t, source, 2000, 1000))
	second.requireCounts(t, 3000, offsets)

	first.stop(t)
	requireTasks(t, second, 8)
	offsets = offsets.Merge(c.produce(t, source, 3000, 1000))
	second.requireCounts(t, 4000, offsets)
	second.stop(t)
}

// requireTasks waits until the instance has n tasks and all of them work.
func requireTasks(t *testing.T, p *pipeline, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		tasks := 0
		for _, g := range p.app.Info(t.Context()).Groups {
			tasks += len(g.Tasks)
		}
		return tasks == n && p.app.State() == processors.Running
	}, 30*time.Second, 20*time.Millisecond)
}

func TestPipeline_tokensAreCoveredThroughEveryStage(t *testing.T) {
	t.Parallel()
	c := openCluster(t)
	source := unique("lines")
	c.createTopics(t, source)
	p := startPipeline(t, c, wordCount(t, unique("words"), source), t.TempDir())
	offsets := make(state.Offsets)
	for i := range 200 {
		offsets = offsets.Merge(c.produce(t, source, i, 1))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		require.NoError(t, p.byWord.Wait(ctx, offsets))
		cancel()
		require.Equal(t, residues(i+1, 11, "w"), counts(t, p.byWord), "a covered token means that the write is there")
	}
	p.stop(t)
}
