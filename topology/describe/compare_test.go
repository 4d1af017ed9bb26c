package describe_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/describe"
)

// The scripts in testdata/compare deploy one version of an application after the other: each answer says what changes,
// what the change means, and what earlier versions have left on the cluster by then.
func TestCompare(t *testing.T) {
	datadriven.Walk(t, "testdata/compare", func(t *testing.T, path string) {
		var stored describe.Topology
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			t.Helper()
			switch td.Cmd {
			case "deploy":
				next := described(t, td.CmdArgs[0].Key)
				var answer string
				if stored.Application != "" {
					answer = comparison(stored, next)
				}
				stored = roundTrip(t, next.After(stored))
				return answer + left(stored.Retired)
			case "delete":
				stored = stored.Deleted(func(topic string) bool { return topic == td.CmdArgs[0].Key })
				return left(stored.Retired)
			default:
				td.Fatalf(t, "unknown command %q", td.Cmd)
				return ""
			}
		})
	})
}

func comparison(before, after describe.Topology) string {
	changes := describe.Compare(before, after)
	text := changes.String()
	if refused := changes.Refused(); len(refused) > 0 {
		text += fmt.Sprintf("refused: %d\n", len(refused))
		if final := refused.Final(); len(final) > 0 {
			text += fmt.Sprintf("not to be accepted: %d\n", len(final))
		}
	}
	var apart []string
	for _, sub := range after.SubTopologies {
		i := slices.IndexFunc(before.SubTopologies, func(was describe.SubTopology) bool { return was.Group == sub.Group })
		if i >= 0 && before.SubTopologies[i].Fingerprint != sub.Fingerprint {
			apart = append(apart, sub.Group)
		}
	}
	if len(apart) > 0 {
		text += fmt.Sprintf("not side by side: %s\n", strings.Join(apart, ", "))
	}
	return text
}

func left(r describe.Retired) string {
	var out strings.Builder
	for _, g := range r.Groups {
		fmt.Fprintf(&out, "left: group %s\n", g.Group)
	}
	for _, s := range r.Stores {
		fmt.Fprintf(&out, "left: store %s in %s\n", s.Store.Name, s.Group)
	}
	for _, topic := range r.Topics {
		fmt.Fprintf(&out, "left: topic %s\n", topic)
	}
	return out.String()
}

// roundTrip is what storing does.
func roundTrip(t *testing.T, d describe.Topology) describe.Topology {
	t.Helper()
	data, err := json.Marshal(d)
	require.NoError(t, err)
	var again describe.Topology
	require.NoError(t, json.Unmarshal(data, &again))
	return again
}

func described(t *testing.T, version string) describe.Topology {
	t.Helper()
	define, ok := versions()[version]
	require.True(t, ok, "no version %q", version)
	var opts []topology.BuilderOption
	if version == "policies" {
		opts = append(opts, topology.OnProcessingFailure(topology.Skip()))
	}
	name := "app"
	if version == "other-application" {
		name = "other"
	}
	b := topology.NewBuilder(name, opts...)
	define(b)
	top, err := b.Build()
	require.NoError(t, err)
	return top.Description().WithoutSites()
}

// versions are the versions of the application. The first one of most scripts is "count".
func versions() map[string]func(*topology.Builder) {
	type stream = topology.Stream[string, string]
	count := func(b *topology.Builder) { out(counted(flights(b))) }
	windowed := func(w topology.TimeWindows) func(*topology.Builder) {
		return func(b *topology.Builder) { flights(b).GroupByKey().WindowedBy(w).Count("flights-by-carrier") }
	}
	named := func(b *topology.Builder) stream {
		return topology.Source(b, "flights", codecs.String, codecs.String, topology.InSubTopology("flights-by-carrier"))
	}
	through := func(opts ...topology.RepartitionOption) func(*topology.Builder) {
		return func(b *topology.Builder) {
			flights(b).GroupBy("by-carrier", carrier, codecs.String, codecs.String, opts...).Count("flights-by-carrier")
		}
	}
	from := func(topics ...string) func(*topology.Builder) {
		return func(b *topology.Builder) {
			for i, topic := range topics {
				s := topology.Source(b, topic, codecs.String, codecs.String).GroupByKey()
				if i == 0 {
					s.Count("flights-by-carrier")
				} else {
					s.Count("count-" + topic)
				}
			}
		}
	}
	return map[string]func(*topology.Builder){
		"count": count, "policies": count, "other-application": count,
		"filtered": func(b *topology.Builder) { out(counted(flights(b).Filter(notCancelled, topology.Named("departed")))) },
		"rewired":  func(b *topology.Builder) { s := flights(b); counted(s); out(s.MapValues(strings.ToUpper)) },
		"more-out": func(b *topology.Builder) {
			s := counted(flights(b))
			out(s)
			s.To("copy", codecs.String, codecs.String)
		},
		"no-out": func(b *topology.Builder) { counted(flights(b)) },
		"aggregate": func(b *topology.Builder) {
			flights(b).GroupByKey().Aggregate("flights-by-carrier", none, join, codecs.String)
		},
		"two-stores": func(b *topology.Builder) {
			s := named(b)
			s.GroupByKey().Count("all")
			out(counted(s))
		},
		"two-stores-renamed": func(b *topology.Builder) {
			s := flights(b)
			s.GroupByKey().Count("all")
			out(counted(s))
		},
		"with-table": func(b *topology.Builder) {
			airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
			out(counted(named(b).JoinTable(airlines, withAirline)))
		},
		"other-topic":        from("trains"),
		"window":             windowed(topology.Tumbling(time.Hour)),
		"window-two-hours":   windowed(topology.Tumbling(2 * time.Hour)),
		"window-kept-longer": windowed(topology.Tumbling(time.Hour).Retention(24 * time.Hour)),
		"through":            through(),
		"through-4":          through(topology.Partitions(4)),
		"through-8":          through(topology.Partitions(8)),
		"through-named":      through(topology.InSubTopology("carriers")),
		"count-indexed": func(b *topology.Builder) {
			counts := flights(b).GroupByKey().Count("flights-by-carrier")
			counts.Index("by-count", func(_ string, n int64) (int64, bool) { return n, true }, codecs.Int64)
			out(counts.ToStream().MapValues(decimal))
		},
		"stateless":  func(b *topology.Builder) { out(flights(b)) },
		"two-groups": from("flights", "trains"),
		"two-groups-from-latest": func(b *topology.Builder) {
			counted(flights(b))
			topology.Source(b, "trains", codecs.String, codecs.String, topology.FromLatest()).GroupByKey().Count("count-trains")
		},
		"merged": func(b *topology.Builder) {
			trains := topology.TableOf(b, "trains", codecs.String, codecs.String)
			out(counted(flights(b).JoinTable(trains, withAirline)))
		},
	}
}

func counted(s topology.Stream[string, string]) topology.Stream[string, string] {
	return s.GroupByKey().Count("flights-by-carrier").ToStream().MapValues(decimal)
}

// A new setting of stores needs a rule in Compare, which says what its change means, and a field in describe.Store.
func TestCompare_knowsEverySettingOfAStore(t *testing.T) {
	var fields []string
	for f := range reflect.TypeFor[state.Spec]().Fields() {
		fields = append(fields, f.Name)
	}
	require.Equal(t, []string{"Name", "Kind", "WindowSize", "Calendar", "Retention", "TTL", "Of"}, fields)
}

// Not all operators accept a TTL yet.
func TestCompare_lifetimes(t *testing.T) {
	with := func(retention, ttl time.Duration) describe.Topology {
		store := describe.Store{Name: "s", Kind: "join", Retention: retention, TTL: ttl}
		return describe.Topology{Application: "app", SubTopologies: []describe.SubTopology{
			{Name: "s", Group: "app-s", Changelog: "app-s-table", Stores: []describe.Store{store}},
		}}
	}
	for _, c := range []struct {
		before, after describe.Topology
		want          []describe.Meaning
	}{
		{with(time.Hour, 0), with(2*time.Hour, 0), []describe.Meaning{describe.MeansNothing}},
		{with(time.Hour, 0), with(0, 0), []describe.Meaning{describe.MeansNothing}},
		{with(0, 0), with(time.Hour, 0), []describe.Meaning{describe.MeansExpiry}},
		{with(2*time.Hour, 0), with(time.Hour, 0), []describe.Meaning{describe.MeansExpiry}},
		{with(0, 0), with(0, time.Hour), []describe.Meaning{describe.MeansRebuild}},
		{with(0, time.Hour), with(0, 2*time.Hour), []describe.Meaning{describe.MeansNothing}},
		{with(0, time.Hour), with(0, 0), []describe.Meaning{describe.MeansNothing}},
		{with(0, 2*time.Hour), with(0, time.Hour), []describe.Meaning{describe.MeansExpiry}},
	} {
		var got []describe.Meaning
		for _, change := range describe.Compare(c.before, c.after) {
			got = append(got, change.Meaning)
		}
		require.Equal(t, c.want, got)
	}
}

// Topologies with the same fingerprint can replace each other, and no change between them must be accepted.
func TestCompare_fingerprints(t *testing.T) {
	for one := range versions() {
		before := described(t, one)
		require.Empty(t, describe.Compare(before, before), one)
		require.Empty(t, describe.Compare(before, before).Fingerprint())
		for two := range versions() {
			after := described(t, two)
			changes := describe.Compare(before, after)
			if before.Fingerprint == after.Fingerprint {
				for _, change := range changes {
					require.LessOrEqual(t, change.Meaning, describe.MeansExpiry, "%s to %s: %v", one, two, change)
				}
			}
			require.Equal(t, len(changes.Refused()) > 0, changes.Fingerprint() != "")
		}
	}
	window, count := described(t, "window"), described(t, "count")
	require.NotEqual(t, describe.Compare(window, count).Fingerprint(), describe.Compare(count, window).Fingerprint(), "the direction counts")
}
