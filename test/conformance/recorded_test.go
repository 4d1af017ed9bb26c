package conformance_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// recordedVariable names the environment variable with a folder of recordings to compare instead of our own.
const recordedVariable = "MILLRACE_RECORDED"

func TestRecorded(t *testing.T) {
	folder := os.Getenv(recordedVariable)
	if folder == "" {
		folder = filepath.Join("testdata", "recorded")
	}
	all := programs(t)
	var compared total
	t.Cleanup(func() { t.Log(&compared) })
	for _, path := range recordings(t, folder) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			t.Parallel()
			r := loadRecording(t, path)
			define, ok := all[r.Topology]
			if !ok {
				t.Fatalf("no program for topology %q; define it in one of programs_*_test.go", r.Topology)
			}
			top := build(t, define)
			compared.topologies.Add(1)
			for _, run := range r.Runs {
				run, exceptions, err := corrected(r.Topology, run)
				require.NoError(t, err)
				compared.add(run)
				compared.exceptions.Add(int64(exceptions))
				t.Run(fmt.Sprintf("seed=%d", run.Seed), func(t *testing.T) { replay(t, r.Topology, top, run) })
				for _, seed := range seeds(t, 1) {
					t.Run(fmt.Sprintf("seed=%d/interrupted=%d", run.Seed, seed), func(t *testing.T) {
						replayInterrupted(t, r.Topology, top, run, seed)
					})
				}
			}
		})
	}
}

// total says how much was compared.
type total struct{ topologies, runs, steps, outputs, exceptions atomic.Int64 }

func (c *total) add(r run) {
	c.runs.Add(1)
	c.steps.Add(int64(len(r.Steps)))
	for _, s := range r.Steps {
		c.outputs.Add(int64(len(s.Outputs)))
	}
}

func (c *total) String() string {
	return fmt.Sprintf("compared %d topologies, %d runs, %d steps, %d outputs; %d steps differ on purpose",
		c.topologies.Load(), c.runs.Load(), c.steps.Load(), c.outputs.Load(), c.exceptions.Load())
}

// A program without a recording would never be compared.
func TestEveryProgramIsRecorded(t *testing.T) {
	for id := range programs(t) {
		require.FileExists(t, filepath.Join("testdata", "recorded", id+".json"))
	}
}

func build(t *testing.T, define program) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder("conformance")
	define(b)
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

// replay runs the steps and compares after each.
func replay(t *testing.T, id string, top *topology.Topology, r run) *topologytest.Driver {
	t.Helper()
	d := topologytest.NewDriver(t, top)
	out := topologytest.Output(d, "out", codecs.String, codecs.String)
	for i, s := range r.Steps {
		pipe(d, s)
		if r.whole && i < len(r.Steps)-1 {
			continue
		}
		if got := out.Drain(); !r.same(s.records(), got) {
			t.Fatal(difference(id, r, i, s.records(), got))
		}
	}
	return d
}

// replayInterrupted runs the steps while the driver is stopped, killed and moved, and compares in the end, since a
// crash rolls back what was not committed. If the wall clock is part of the input, the only disturbance is commits:
// schedules of the wall clock start again with the task.
func replayInterrupted(t *testing.T, id string, top *topology.Topology, r run, seed uint64) *topologytest.Driver {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, uint64(r.Seed)))
	d := topologytest.NewDriver(t, top, topologytest.CommitRandomly(dice.Uint64()), topologytest.CacheBytes(1))
	waits := slices.ContainsFunc(r.Steps, func(s step) bool { return s.AdvanceWallClock > 0 })
	for _, s := range r.Steps {
		pipe(d, s)
		if !waits {
			interrupt(d, dice)
		}
	}
	got := topologytest.Output(d, "out", codecs.String, codecs.String).Drain()
	for i, s := range r.Steps {
		want := s.records()
		n := min(len(want), len(got))
		if !r.same(want, got[:n]) {
			t.Fatal(difference(id, r, i, want, got[:n]))
		}
		got = got[n:]
	}
	if len(got) > 0 {
		t.Fatal(difference(id, r, len(r.Steps)-1, nil, got))
	}
	return d
}

// interrupt stops, kills or moves the tasks of d, now and then.
func interrupt(d *topologytest.Driver, dice *rand.Rand) {
	switch dice.IntN(20) {
	case 0:
		d.Restart()
	case 1:
		d.Restore()
	case 2, 3:
		d.Crash()
	}
}

func pipe(d *topologytest.Driver, s step) {
	if s.AdvanceWallClock > 0 {
		d.AdvanceWallClock(time.Duration(s.AdvanceWallClock) * time.Millisecond)
		return
	}
	topologytest.Input(d, s.Topic, codecs.String, codecs.String).PipeRecord(s.record())
}

// difference describes where a run first differs, with the whole history of the keys concerned.
func difference(id string, r run, at int, want, got []record) string {
	var text strings.Builder
	fmt.Fprintf(&text, "topology %q, seed %d, step %d of %d\n", id, r.Seed, at, len(r.Steps))
	fmt.Fprintf(&text, "  input  %v\n  want   %s\n  got    %s\n", r.Steps[at], showAll(want), showAll(got))
	keys := keysOf(r.Steps[at], want, got)
	fmt.Fprintf(&text, "the steps before, of %s:\n", strings.Join(keys, ", "))
	now := int64(-1)
	for i, s := range r.Steps[:at] {
		now = max(now, s.Timestamp)
		if concerns := keysOf(s, s.records(), nil); slices.ContainsFunc(concerns, func(k string) bool { return slices.Contains(keys, k) }) {
			fmt.Fprintf(&text, "  %3d    %v => %s\n", i, s, showAll(s.records()))
		}
	}
	fmt.Fprintf(&text, "the largest timestamp before is %d", now)
	return text.String()
}

// keysOf returns the keys that a step and its outputs concern, windowed keys without their windows.
func keysOf(s step, want, got []record) []string {
	var keys []string
	for _, r := range slices.Concat([]record{s.record()}, want, got) {
		key, _, _ := strings.Cut(r.Key, "@")
		if r.NullKey {
			key = "null"
		}
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}
