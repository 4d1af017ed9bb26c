package topology_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// The outputs and drops of every scenario of the scripts equal those of an undisturbed run, with one partition and with
// several. They depend neither on the caches, nor on when commits come, nor on how often tasks are stopped, killed or
// restored.
func TestScenarios_undisturbed(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2
	}
	all := scenarios()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			for seed := range seeds {
				undisturbed(t, all[name], seed)
				undisturbed(t, all[name], seed, several(name)...)
			}
		})
	}
}

// several returns the options for several partitions: three, or as many as the joined stream has.
func several(scenario string) []topologytest.Option {
	opts := []topologytest.Option{topologytest.Partitions(3)}
	if scenario == "airport" {
		opts = append(opts, topologytest.TopicPartitions("airlines", 4))
	}
	return opts
}

func undisturbed(t *testing.T, scenario topologytest.Scenario, seed uint64, opts ...topologytest.Option) {
	t.Helper()
	want := newDisturbed(t, scenario, opts...)
	got := newDisturbed(t, scenario, append(opts, topologytest.CommitRandomly(seed), topologytest.CacheBytes(1))...)
	dice, disturb := rand.New(rand.NewPCG(seed, 3)), rand.New(rand.NewPCG(seed, 4))
	for range 120 {
		topic, r := randomRecord(dice, want)
		want.pipe(topic, r)
		got.pipe(topic, r)
		got.disturb(disturb)
	}
	require.Equal(t, want.outputs(), got.outputs(), "seed %d", seed)
	require.Equal(t, want.d.Drops(), got.d.Drops(), "seed %d", seed)
}

// disturbed is a run of a scenario.
type disturbed struct {
	t        *testing.T
	top      *topology.Topology
	d        *topologytest.Driver
	inputs   []string
	scenario topologytest.Scenario
	time     int64
	failed   []string // what could not be processed
}

func newDisturbed(t *testing.T, scenario topologytest.Scenario, opts ...topologytest.Option) *disturbed {
	t.Helper()
	b := topology.NewBuilder("app", scenario.Options...)
	scenario.Define(b)
	top, err := b.Build()
	require.NoError(t, err)
	r := &disturbed{t: t, top: top, d: topologytest.NewDriver(t, top, opts...), scenario: scenario}
	for _, sub := range top.SubTopologies() {
		for _, in := range sub.Inputs() {
			switch {
			case in.Pattern != "":
				r.inputs = append(r.inputs, "flights-1", "flights-2")
			case !in.Repartition:
				r.inputs = append(r.inputs, in.Topic)
			}
		}
	}
	for _, g := range top.Globals() {
		r.inputs = append(r.inputs, g.Topic)
	}
	slices.Sort(r.inputs)
	r.inputs = slices.Compact(r.inputs)
	return r
}

// randomRecord returns a record for one of the inputs: few keys, values that the functions of the scenarios know, time
// that jumps, and records that are late.
func randomRecord(dice *rand.Rand, r *disturbed) (string, engine.RawRecord) {
	keys := []string{"KL", "LH", "BA1", "BA2"}
	values := []string{"boarding", "gone", "cancelled", "D1", "D2", "x", "KL", "LH"}
	record := engine.RawRecord{Key: []byte(keys[dice.IntN(len(keys))]), Value: []byte(values[dice.IntN(len(values))])}
	switch dice.IntN(14) {
	case 0:
		record.Key = nil
	case 1, 2:
		record.Value = nil
	}
	switch dice.IntN(8) {
	case 0:
		r.time += int64(dice.IntN(25_000))
	case 1, 2, 3:
		r.time += int64(dice.IntN(3000))
	}
	record.Timestamp = max(0, r.time-int64(dice.IntN(3))*int64(dice.IntN(9000)))
	if dice.IntN(4) == 0 {
		record.Headers = []engine.Header{{Key: "n", Value: []byte{byte(dice.IntN(10))}}}
	}
	return r.inputs[dice.IntN(len(r.inputs))], record
}

func (r *disturbed) pipe(topic string, record engine.RawRecord) {
	if err := r.d.PipeRaw(topic, record); err != nil {
		r.failed = append(r.failed, err.Error())
	}
}

func (r *disturbed) disturb(dice *rand.Rand) {
	switch dice.IntN(20) {
	case 0:
		r.d.Restart()
	case 1:
		r.d.Restore()
	case 2, 3:
		r.d.Crash()
	}
}

// outputs returns all that was written to each partition of each topic, in order, and what failed.
func (r *disturbed) outputs() []string {
	var all []string
	for _, sub := range r.top.SubTopologies() {
		for _, topic := range sub.Outputs() {
			partitions := topologytest.Output(r.d, topic, codecs.Bytes, codecs.Bytes).DrainPartitions()
			for _, partition := range slices.Sorted(maps.Keys(partitions)) {
				for _, o := range partitions[partition] {
					all = append(all, fmt.Sprintf("%s/%d: %t %q -> %t %q @%d %v", topic, partition,
						!o.NullKey, o.Key, !o.NullValue, o.Value, o.Timestamp, o.Headers))
				}
			}
		}
	}
	return append(all, r.failed...)
}
