package processors

import (
	"fmt"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// The parts add up to the budget, and the live part leaves room for GOGC.
func TestSplitMemory_addsUp(t *testing.T) {
	for _, budget := range []int64{0, 1, 1 << 20, 64 << 20, 512 << 20, DefaultMemoryBytes, 1 << 40} {
		for _, gogc := range []float64{0, 50, 100, 400} {
			for _, offHeap := range []bool{true, false} {
				t.Run(fmt.Sprint(budget, gogc, offHeap), func(t *testing.T) {
					m := splitMemory(budget, gogc, offHeap)
					require.Equal(t, budget, m.Program+m.State+m.Allocator+m.Cache+m.Commits+m.Fetches+m.Collector)
					live := m.Cache + m.Commits + m.Fetches
					if !offHeap {
						live += m.State
						require.Zero(t, m.Allocator)
					}
					require.InDelta(t, float64(live)*gogc/100, float64(m.Collector), 16)
					for _, part := range []int64{m.Program, m.State, m.Allocator, m.Cache, m.Commits, m.Fetches, m.Collector} {
						require.GreaterOrEqual(t, part, int64(0))
					}
					require.LessOrEqual(t, m.HeapLimit(), budget)
				})
			}
		}
	}
}

func TestSplitMemory_sizes(t *testing.T) {
	const mib = 1 << 20
	require.Equal(t, "512 MiB: program 40, state 70, allocator 70, cache 66, commits 49, fetches 49, collector 165",
		splitMemory(512*mib, 100, true).String())
	require.Equal(t, "512 MiB: program 40, state 70, allocator 0, cache 66, commits 49, fetches 49, collector 236",
		splitMemory(512*mib, 100, false).String())
	onHeap := splitMemory(512*mib, 100, true)
	require.Equal(t, onHeap.Cache+onHeap.Commits+onHeap.Fetches+onHeap.Collector, onHeap.HeapLimit())
	require.EqualValues(t, (512-40)*mib, splitMemory(512*mib, 100, false).HeapLimit())
}

// A GOGC that is set counts; a collector that is switched off counts as the default.
func TestCollectorGrowth(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	require.InDelta(t, 50, collectorGrowth(), 0)
	debug.SetGCPercent(-1)
	require.InDelta(t, 100, collectorGrowth(), 0)
}
