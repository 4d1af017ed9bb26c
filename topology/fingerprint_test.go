package topology_test

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
	for what, other := range map[string]string{
		"another store": fingerprint(func(s topology.Stream[string, string]) { s.GroupByKey().Count("other") }),
		"another output": fingerprint(func(s topology.Stream[string, string]) {
			s.GroupByKey().Count("counts").ToStream().To("out", codecs.String, codecs.Int64)
		}),
		"outputs by record": fingerprint(func(s topology.Stream[string, string]) {
			s.GroupByKey().Count("counts").ToStream().ToDynamic(func(r topology.Record[string, int64]) string { return r.Key }, codecs.String, codecs.Int64)
		}),
		"a store more": both,
	} {
		require.NotEqual(t, one, other, what)
	}
}
