package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestPlace runs the scripts of testdata/place. A script is about one group, whose members keep what they have from one
// command to the next:
//
//	join NAME [rack=R] [held=p:offset,…]   a member joins
//	tell NAME [held=p:offset,…] [leaving]  it has something new to tell
//	die NAME                               it is gone
//	place [standbys=N] [lag=N] [warmups=N] the group is planned; everyone does what the plan says
func TestPlace(t *testing.T) {
	datadriven.Walk(t, "testdata/place", func(t *testing.T, path string) {
		g := &scriptGroup{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return g.run(t, d) })
	})
}

type scriptGroup struct {
	members    []*groupMember
	partitions int32
	generation int32
}

func (g *scriptGroup) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	switch d.Cmd {
	case "group":
		d.ScanArgs(t, "partitions", &g.partitions)
		return ""
	case "join":
		m := &groupMember{id: d.CmdArgs[0].Key, told: memberInfo{Address: d.CmdArgs[0].Key}}
		d.MaybeScanArgs(t, "rack", &m.rack)
		g.members = append(g.members, m)
		tell(t, d, m)
		return ""
	case "tell":
		tell(t, d, g.member(t, d.CmdArgs[0].Key))
		return ""
	case "die":
		gone := g.member(t, d.CmdArgs[0].Key)
		kept := g.members[:0]
		for _, m := range g.members {
			if m != gone {
				kept = append(kept, m)
			}
		}
		g.members = kept
		return ""
	case "place":
		rules := placing{partitions: g.partitions, acceptableLag: 100, maxWarmups: 100}
		d.MaybeScanArgs(t, "standbys", &rules.standbys)
		d.MaybeScanArgs(t, "lag", &rules.acceptableLag)
		d.MaybeScanArgs(t, "warmups", &rules.maxWarmups)
		place(g.members, rules)
		requireComplete(t, g.members, rules)
		g.generation++
		var out strings.Builder
		for _, m := range g.members {
			m.owned, m.generation = m.plan.Active, g.generation
			fmt.Fprintf(&out, "%s: active=%v", m.id, m.plan.Active)
			if len(m.plan.Standby) > 0 {
				fmt.Fprintf(&out, " standby=%v", m.plan.Standby)
			}
			if len(m.plan.Warmup) > 0 {
				fmt.Fprintf(&out, " warmup=%v", m.plan.Warmup)
			}
			out.WriteByte('\n')
		}
		return out.String()
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
		return ""
	}
}

func (g *scriptGroup) member(t *testing.T, name string) *groupMember {
	t.Helper()
	for _, m := range g.members {
		if m.id == name {
			return m
		}
	}
	t.Fatalf("no member %q", name)
	return nil
}

func tell(t *testing.T, d *datadriven.TestData, m *groupMember) {
	t.Helper()
	m.told.Leaving = d.HasArg("leaving")
	if !d.HasArg("held") {
		return
	}
	m.told.Held = make(map[int32]int64)
	for _, arg := range d.CmdArgs {
		if arg.Key != "held" {
			continue
		}
		for _, v := range arg.Vals {
			var p int32
			var offset int64
			_, err := fmt.Sscanf(v, "%d:%d", &p, &offset)
			require.NoError(t, err)
			m.told.Held[p] = offset
		}
	}
}

// requireComplete holds a plan against what must be true of every plan: each partition is worked on by exactly one
// member, and nobody has two copies of one.
func requireComplete(t *testing.T, members []*groupMember, rules placing) {
	t.Helper()
	active := make(map[int32]string)
	var warmups int
	for _, m := range members {
		for _, p := range m.plan.Active {
			require.Empty(t, active[p], "partition %d is given to two", p)
			active[p] = m.id
		}
		seen := make(map[int32]bool)
		for _, ps := range [][]int32{m.plan.Active, m.plan.Standby, m.plan.Warmup} {
			for _, p := range ps {
				require.False(t, seen[p], "%s has two copies of partition %d", m.id, p)
				seen[p] = true
			}
		}
		warmups += len(m.plan.Warmup)
	}
	if len(members) > 0 {
		require.Len(t, active, int(rules.partitions))
	}
	require.LessOrEqual(t, warmups, rules.maxWarmups)
}
