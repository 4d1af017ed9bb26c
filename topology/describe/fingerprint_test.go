package describe_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestFingerprint_isAboutTopicsAndStores(t *testing.T) {
	fingerprint := func(build func(topology.Stream[string, string])) string {
		b := topology.NewBuilder("app")
		build(topology.Source(b, "lines", codecs.String, codecs.String))
		top, err := b.Build()
		require.NoError(t, err)
		return top.SubTopologies()[0].Fingerprint()
	}
	one := fingerprint(func(s topology.Stream[string, string]) { s.GroupByKey().Count("counts") })
	require.Len(t, one, 12)
	require.Equal(t, one, fingerprint(func(s topology.Stream[string, string]) {
		s.Filter(func(_, _ string) bool { return true }).GroupByKey().Count("counts")
	}), "a stateless operator may come and go")
	both := fingerprint(func(s topology.Stream[string, string]) {
		s.GroupByKey().Count("counts")
		s.GroupByKey().Count("other")
	})
	require.Equal(t, both, fingerprint(func(s topology.Stream[string, string]) {
		s.GroupByKey().Count("other")
		s.GroupByKey().Count("counts")
	}), "the order in the program means nothing")
	require.Equal(t, one, fingerprint(func(s topology.Stream[string, string]) {
		s.GroupByKey().Count("counts").ToStream().To("out", codecs.String, codecs.Int64)
	}), "an output may come and go")
	require.Equal(t, one, fingerprint(func(s topology.Stream[string, string]) {
		s.GroupByKey().Count("counts").ToStream().ToDynamic(func(r topology.Record[string, int64]) string { return r.Key }, codecs.String, codecs.Int64)
	}), "and so may outputs by record")
	for what, other := range map[string]string{
		"another store": fingerprint(func(s topology.Stream[string, string]) { s.GroupByKey().Count("other") }),
		"another repartition": fingerprint(func(s topology.Stream[string, string]) {
			s.GroupByKey().Count("counts").ToStream().Repartition("out", codecs.String, codecs.Int64)
		}),
		"another operator": fingerprint(func(s topology.Stream[string, string]) {
			s.GroupByKey().Aggregate("counts", none, join, codecs.String)
		}),
		"a store more": both,
	} {
		require.NotEqual(t, one, other, what)
	}
}

func TestTopologyFingerprint_isAboutAllGroups(t *testing.T) {
	one := described(t, "two-groups").Fingerprint
	require.Len(t, one, 12)
	require.NotEqual(t, one, described(t, "count").Fingerprint, "a group more")
	require.NotEqual(t, described(t, "through").Fingerprint, described(t, "through-named").Fingerprint, "a group with another name")
	require.NotEqual(t, described(t, "count").Fingerprint, described(t, "other-application").Fingerprint)
	top := build(t, "app", versions()["count"])
	require.Equal(t, top.Description().Fingerprint, top.Fingerprint())
	require.Equal(t, top.Description().SubTopologies[0].Fingerprint, top.SubTopologies()[0].Fingerprint())
}
