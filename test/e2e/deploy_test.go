package e2e

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/describe"
)

// version builds a version of the site's application. lines is its input.
func (s *site) version(t *testing.T, define func(lines topology.Stream[string, string])) *topology.Topology {
	t.Helper()
	b := topology.NewBuilder(s.app)
	define(topology.Source(b, s.in, codecs.String, codecs.String))
	top, err := b.Build()
	require.NoError(t, err)
	return top
}

// The versions of the application. The first one has the group of the site.
func counted(lines topology.Stream[string, string]) { lines.GroupByKey().Count("counts") }

func filtered(lines topology.Stream[string, string]) {
	counted(lines.Filter(func(_, v string) bool { return v != "" }))
}

func more(lines topology.Stream[string, string]) {
	counted(lines)
	lines.GroupByKey().Count("more")
}

func windowed(lines topology.Stream[string, string]) {
	lines.GroupByKey().WindowedBy(topology.Tumbling(time.Minute)).Count("counts")
}

func moved(lines topology.Stream[string, string]) {
	lines.GroupByKey().Count("all")
	counted(lines)
}

// rerouted counts after a repartition.
func rerouted(lines topology.Stream[string, string]) {
	counted(lines)
	lines.GroupBy("by-value", func(_, v string) string { return v }, codecs.String, codecs.String).Count("values")
}

// recorded is what the description topic of the application says.
type recorded struct {
	Writer   string            `json:"written_by"`
	Topology describe.Topology `json:"topology"`
}

func (s *site) recorded(t *testing.T) (all []recorded) {
	t.Helper()
	for _, r := range s.read(t, s.app+"-topology") {
		require.Equal(t, "topology", string(r.Key))
		var one recorded
		require.NoError(t, json.Unmarshal(r.Value, &one))
		all = append(all, one)
	}
	return all
}

// once runs a version until it has processed n more records.
func (s *site) once(t *testing.T, top *topology.Topology, cfg processors.Config, values ...string) {
	t.Helper()
	before := max(0, s.committed(t))
	_, stop := s.start(t, top, cfg)
	s.send(t, values...)
	s.await(t, before+int64(len(values)))
	stop()
}

// joined waits until the application's groups have n members.
func joined(t *testing.T, app *processors.App, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		info := app.Info(t.Context())
		return len(info.Groups) > 0 && !slices.ContainsFunc(info.Groups, func(g processors.GroupInfo) bool { return len(g.Members) != n })
	}, waitLong, tick)
}

func TestDeploy_recordsTheTopology(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first, cfg := s.version(t, counted), s.config(t)
	cfg.Address = "first:1"
	s.once(t, first, cfg, "a")
	all := s.recorded(t)
	require.Len(t, all, 1)
	require.Equal(t, "first:1", all[0].Writer)
	require.Equal(t, first.Description().WithoutSites(), all[0].Topology)

	cfg.Address = "second:1"
	s.once(t, first, cfg, "b")
	require.Len(t, s.recorded(t), 1, "nothing has changed")

	s.once(t, s.version(t, more), cfg, "c")
	all = s.recorded(t)
	require.Len(t, all, 2)
	require.Equal(t, s.version(t, more).Fingerprint(), all[1].Topology.Fingerprint)
	require.Contains(t, s.log.String(), `level=WARN msg="the topology has changed" means=new what="store \"more\" in group `+s.group+`" effect="it starts empty and fills from now on`)

	s.once(t, first, cfg, "d")
	require.Contains(t, s.log.String(), `level=WARN msg="the topology has changed" means=orphan what="store \"more\" is gone from group `+s.group)
	all = s.recorded(t)
	require.Len(t, all, 3)
	require.Len(t, all[2].Topology.Retired.Stores, 1)
	require.Equal(t, int64(4), s.count(t))

	// The store would find its rows of then.
	err := s.fail(t, s.version(t, more), cfg)
	require.ErrorContains(t, err, `store "more" is back in group `+s.group)
	require.Len(t, s.recorded(t), 3)
}

var accepts = regexp.MustCompile(`set AcceptTopology to "([0-9a-f]{12})"`)

func TestDeploy_refusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.config(t)
	s.once(t, s.version(t, counted), cfg, "a", "b")

	err := s.fail(t, s.version(t, moved), cfg)
	require.ErrorContains(t, err, `store "counts" is kept by group `+s.app+`-all instead of `+s.group)
	require.ErrorContains(t, err, `keep the name with topology.InSubTopology("counts")`)
	listed, listErr := s.admin.ListTopics(t.Context(), s.app+"-all-table")
	require.NoError(t, listErr)
	require.Error(t, listed[s.app+"-all-table"].Err, "nothing is created for what is refused")
	acceptance := accepts.FindStringSubmatch(err.Error())
	require.Len(t, acceptance, 2, "%v", err)

	cfg.AcceptTopology = strings.Repeat("0", 12)
	require.ErrorContains(t, s.fail(t, s.version(t, moved), cfg), acceptance[0], "the acceptance of something else")
	cfg.AcceptTopology = acceptance[1]
	require.ErrorContains(t, s.fail(t, s.version(t, windowed), cfg), "is a window store instead of a key-value store")
	require.Len(t, s.recorded(t), 1)

	// It is meant: the new group begins again, and the acceptance may stay.
	s.group = s.app + "-all"
	for range 2 {
		app, stop := s.start(t, s.version(t, moved), cfg)
		require.Eventually(t, func() bool { return app.State() == processors.Running && s.committed(t) == 2 }, waitLong, tick, "log:\n%s", s.log)
		stop()
	}
	all := s.recorded(t)
	require.Len(t, all, 2)
	require.Equal(t, s.app+"-counts", all[1].Topology.Retired.Groups[0].Group)
	cfg.AcceptTopology = ""
	s.once(t, s.version(t, moved), cfg, "c")

	// The way back is a change of its own.
	err = s.fail(t, s.version(t, counted), s.config(t))
	require.ErrorContains(t, err, "input "+s.in+" is read by group "+s.app+"-counts instead of "+s.group+": the group reads on from where it stopped once")
}

// What was deleted needs no acceptance: there is nothing to fit to.
func TestDeploy_aGroupThatIsBuiltAnew(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.config(t)
	s.once(t, s.version(t, counted), cfg, "a", "b")
	err := s.fail(t, s.version(t, windowed), cfg)
	require.ErrorContains(t, err, "kafka-topics --delete --topic "+s.table())
	require.NotContains(t, err.Error(), "AcceptTopology", "nobody could go on with these rows")

	s.remove(t, s.table())
	_, err = s.admin.DeleteGroups(t.Context(), s.group)
	require.NoError(t, err)
	cfg.Dir = t.TempDir()
	require.Eventually(t, func() bool {
		topics, err := s.admin.ListTopics(t.Context(), s.table())
		return err == nil && topics[s.table()].Err != nil
	}, waitLong, tick)
	_, stop := s.start(t, s.version(t, windowed), cfg)
	s.await(t, 2)
	stop()
}

// A version whose change means nothing for the state works beside the one before.
func TestDeploy_sideBySide(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, stopOld := s.start(t, s.version(t, counted), s.config(t))
	s.send(t, "a")
	s.await(t, 1)
	cfg := s.config(t)
	cfg.Dir, cfg.Address = t.TempDir(), "new:1"
	app, stopNew := s.start(t, s.version(t, filtered), cfg)
	joined(t, app, 2)
	require.Equal(t, "new:1", s.recorded(t)[1].Writer)
	stopOld()
	s.send(t, "b")
	s.await(t, 2)

	// An instance of the old version that is started again is no harm either.
	_, stopOld = s.start(t, s.version(t, counted), s.config(t))
	s.send(t, "c")
	s.await(t, 3)
	stopOld()
	stopNew()
	require.Equal(t, int64(3), s.count(t))
}

// A version that the group refuses beside the one that runs was only tried: it is not recorded.
func TestDeploy_triedBesideAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, stop := s.start(t, s.version(t, counted), s.config(t))
	s.send(t, "a")
	s.await(t, 1)
	cfg := s.config(t)
	cfg.Dir = t.TempDir()
	err := s.fail(t, s.version(t, more), cfg)
	require.ErrorContains(t, err, "join group "+s.group)
	require.ErrorContains(t, err, "stop them before this one starts")
	require.Len(t, s.recorded(t), 1)

	// One in another group would do the work of the first a second time.
	err = s.fail(t, s.version(t, moved), cfg)
	cfg.AcceptTopology = accepts.FindStringSubmatch(err.Error())[1]
	err = s.fail(t, s.version(t, moved), cfg)
	require.ErrorContains(t, err, "group "+s.group+", which this topology does not have, is at work")
	require.Len(t, s.recorded(t), 1)
	s.send(t, "b")
	s.await(t, 2)
	stop()
	require.Equal(t, int64(2), s.count(t))
}

// Groups and repartition topics that are no longer needed are named, and remembered until they are deleted.
func TestDeploy_orphans(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.config(t)
	s.once(t, s.version(t, rerouted), cfg, "a")
	s.once(t, s.version(t, counted), cfg, "b")
	for _, want := range []string{
		"group " + s.app + "-values is gone", "kafka-topics --delete --topic " + s.app + "-values-table",
		"repartition topic " + s.app + "-by-value-repartition is gone", "kafka-topics --delete --topic " + s.app + "-by-value-repartition",
	} {
		require.Contains(t, s.log.String(), want)
	}
	retired := s.recorded(t)[1].Topology.Retired
	require.Len(t, retired.Groups, 1)
	require.Equal(t, []string{s.app + "-by-value-repartition"}, retired.Topics)

	s.remove(t, s.app+"-values-table")
	s.remove(t, s.app+"-by-value-repartition")
	require.Eventually(t, func() bool {
		topics, err := s.admin.ListTopics(t.Context())
		return err == nil && !topics.Has(s.app+"-values-table") && !topics.Has(s.app+"-by-value-repartition")
	}, waitLong, tick)
	s.once(t, s.version(t, counted), cfg, "c")
	all := s.recorded(t)
	require.Zero(t, all[len(all)-1].Topology.Retired)
}

// Many instances that start at once agree on one record.
func TestDeploy_manyAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.once(t, s.version(t, counted), s.config(t), "a")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	const instances = 4
	apps := make([]*processors.App, instances)
	for i := range apps {
		cfg := s.config(t)
		cfg.Dir, cfg.Address = t.TempDir(), "instance:"+string(rune('a'+i))
		var err error
		apps[i], err = processors.New(s.version(t, more), cfg)
		require.NoError(t, err)
		go func() { done <- apps[i].Run(ctx) }()
	}
	for _, app := range apps {
		joined(t, app, instances)
	}
	s.send(t, "b")
	s.await(t, 2)
	cancel()
	for range apps {
		require.NoError(t, <-done)
	}
	require.Len(t, s.recorded(t), 2)
	require.Equal(t, int64(2), s.count(t))
}

func TestDeploy_aRecordThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.once(t, s.version(t, counted), s.config(t), "a")
	topic := s.app + "-topology"
	require.NoError(t, s.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("topology"), Value: []byte(`{"format":2}`)}).FirstErr())
	err := s.fail(t, s.version(t, counted), s.config(t))
	require.ErrorContains(t, err, "topic "+topic)
	require.ErrorContains(t, err, "use the version that wrote it, or a later one")
}
