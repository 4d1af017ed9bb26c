package topology_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// The output of these scripts depends on when tasks commit, so they are kept apart from the scripts that must not
// depend on it.
func TestScripts_emitOnCommit(t *testing.T) {
	number := topologytest.Format{Value: topologytest.TextOf(codecs.Int64)}
	topologytest.RunScripts(t, "testdata/commitscripts", map[string]topologytest.Scenario{
		"emit-on-commit": {Define: func(b *topology.Builder) {
			out(leftTable(b).EmitOnCommit().ToStream())
		}},
		"emit-on-commit-below": {
			Formats: map[string]topologytest.Format{"out": number},
			Define: func(b *topology.Builder) {
				all := func(string, int64) (string, string) { return "all", "" }
				outCount(flights(b).GroupByKey().Count("counts").EmitOnCommit().
					GroupBy("of-all", all, codecs.String, codecs.String).Count("keys").EmitOnCommit().ToStream())
			},
		},
	})
}

// The last output of each key is the same as with a table that forwards every change, however often tasks commit or are
// stopped, killed or restored. Operators that use old and new values give right results, too.
func TestEmitOnCommit_endsAlike(t *testing.T) {
	define := func(less bool) func(b *topology.Builder) {
		return func(b *topology.Builder) {
			table, text := leftTable(b), codecs.String
			if less {
				table = table.EmitOnCommit()
			}
			table.ToStream().To("rows", text, text)
			grouped := table.GroupBy("by-value", byValue, text, text).Count("groups")
			if less {
				grouped = grouped.EmitOnCommit()
			}
			grouped.ToStream().MapValues(decimal).To("groups-out", text, text)
		}
	}
	for seed := range uint64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			dice, disturb := rand.New(rand.NewPCG(seed, 8)), rand.New(rand.NewPCG(seed, 9))
			want := topologytest.NewDriver(t, build(t, "app", define(false)))
			got := topologytest.NewDriver(t, build(t, "app", define(true)), topologytest.CommitRandomly(seed), topologytest.CacheBytes(1))
			for i := range int64(200) {
				r := record{Key: string(rune('A' + dice.IntN(5))), Value: string(rune('a' + dice.IntN(3))), Timestamp: i}
				if r.NullValue = dice.IntN(4) == 0; r.NullValue {
					r.Value = ""
				}
				for _, d := range []*topologytest.Driver{want, got} {
					topologytest.Input(d, "left", codecs.String, codecs.String).PipeRecord(r)
				}
				switch disturb.IntN(15) {
				case 0:
					got.Restart()
				case 1:
					got.Restore()
				case 2:
					got.Crash()
				}
			}
			got.Commit()
			for _, topic := range []string{"rows", "groups-out"} {
				all, fewer := lastOutputs(want, topic), lastOutputs(got, topic)
				for key, r := range all {
					if other, ok := fewer[key]; ok {
						require.Equal(t, r.Value, other.Value, "%s: %s", topic, key)
						require.Equal(t, r.NullValue, other.NullValue, "%s: %s", topic, key)
					} else {
						require.True(t, r.NullValue || r.Value == "0", "%s: %s was never forwarded", topic, key)
					}
				}
			}
		})
	}
}

func lastOutputs(d *topologytest.Driver, topic string) map[string]record {
	last := make(map[string]record)
	for _, r := range topologytest.Output(d, topic, codecs.String, codecs.String).Drain() {
		last[r.Key] = r
	}
	return last
}
