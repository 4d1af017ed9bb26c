package assignment_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/assignment"
)

// TestPlace runs the scripts of testdata. A script is about one group, whose members keep what they have from one
// command to the next:
//
//	join NAME [rack=R] [held=p:offset,…]   a member joins
//	tell NAME [held=p:offset,…] [leaving]  it tells something new
//	die NAME                               it is gone
//	place [standbys=N] [lag=N] [warmups=N] the group is planned, and every member does what the plan says
func TestPlace(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		g := &scriptGroup{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return g.run(t, d) })
	})
}

type scriptGroup struct {
	members    []*assignment.Member
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
		m := &assignment.Member{ID: d.CmdArgs[0].Key}
		d.MaybeScanArgs(t, "rack", &m.Rack)
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
		rules := assignment.Rules{Partitions: g.partitions, AcceptableLag: 100, MaxWarmups: 100}
		d.MaybeScanArgs(t, "standbys", &rules.Standbys)
		d.MaybeScanArgs(t, "lag", &rules.AcceptableLag)
		d.MaybeScanArgs(t, "warmups", &rules.MaxWarmups)
		slices.SortFunc(g.members, func(a, b *assignment.Member) int { return cmp.Compare(a.ID, b.ID) }) // for the output
		members := make([]assignment.Member, len(g.members))
		for i, m := range g.members {
			members[i] = *m
		}
		placements := assignment.Place(members, rules)
		requireComplete(t, members, placements, rules)
		slices.Reverse(members)
		reversed := assignment.Place(members, rules)
		slices.Reverse(reversed)
		require.Equal(t, placements, reversed) // AS3
		g.generation++
		var out strings.Builder
		for i, m := range g.members {
			placed := placements[i]
			m.Owned, m.Generation = placed.Active, g.generation
			fmt.Fprintf(&out, "%s: active=%v", m.ID, placed.Active)
			if len(placed.Standby) > 0 {
				fmt.Fprintf(&out, " standby=%v", placed.Standby)
			}
			if len(placed.Warmup) > 0 {
				fmt.Fprintf(&out, " warmup=%v", placed.Warmup)
			}
			out.WriteByte('\n')
		}
		return out.String()
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
		return ""
	}
}

func (g *scriptGroup) member(t *testing.T, name string) *assignment.Member {
	t.Helper()
	for _, m := range g.members {
		if m.ID == name {
			return m
		}
	}
	t.Fatalf("no member %q", name)
	return nil
}

func tell(t *testing.T, d *datadriven.TestData, m *assignment.Member) {
	t.Helper()
	m.Leaving = d.HasArg("leaving")
	if !d.HasArg("held") {
		return
	}
	m.Held = make(map[int32]int64)
	for _, arg := range d.CmdArgs {
		if arg.Key != "held" {
			continue
		}
		for _, v := range arg.Vals {
			var p int32
			var offset int64
			_, err := fmt.Sscanf(v, "%d:%d", &p, &offset)
			require.NoError(t, err)
			m.Held[p] = offset
		}
	}
}

// requireComplete checks AS1, AS2 and the bound of warm-ups.
func requireComplete(t *testing.T, members []assignment.Member, placements []assignment.Placement, rules assignment.Rules) {
	t.Helper()
	active := make(map[int32]string)
	var warmups int
	for i, m := range members {
		placed := placements[i]
		for _, p := range placed.Active {
			require.Empty(t, active[p], "partition %d is given to two", p)
			active[p] = m.ID
		}
		seen := make(map[int32]bool)
		for _, ps := range [][]int32{placed.Active, placed.Standby, placed.Warmup} {
			for _, p := range ps {
				require.False(t, seen[p], "%s has two copies of partition %d", m.ID, p)
				seen[p] = true
			}
		}
		warmups += len(placed.Warmup)
	}
	if len(members) > 0 {
		require.Len(t, active, int(rules.Partitions))
	}
	require.LessOrEqual(t, warmups, rules.MaxWarmups)
}
