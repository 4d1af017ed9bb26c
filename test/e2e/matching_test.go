package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// An application waits for the first topic that matches, reads those that are there when it starts, tells of later ones and reads
// them, with the state that it has, when it starts again.
func TestSourceMatching_topicsComeLater(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	prefix := unique("lines")
	b := topology.NewBuilder(s.app)
	topology.SourceMatching(b, "all-lines", regexp.QuoteMeta(prefix)+`\.\d`, codecs.String, codecs.String).
		GroupByKey().
		Aggregate("all", func() string { return "" }, func(_, v, all string) string { return all + v }, codecs.String).
		ToStream().
		To(s.out, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	send := func(topic string, values ...string) {
		for _, v := range values {
			require.NoError(t, s.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(v)}).FirstErr())
		}
	}
	awaitValue := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return slices.Contains(s.values(t, s.out), want) }, waitLong, 20*tick, "log:\n%s", s.log)
	}

	cfg := s.config(t)
	cfg.StuckAfter = 40 * tick // looks for new topics as often as for what is stuck
	_, stop := s.start(t, top, cfg)
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "no topic matches a source") }, waitLong, tick)
	s.create(t, prefix+".1", prefix+".x")
	send(prefix+".1", "a", "b")
	awaitValue("ab")
	s.create(t, prefix+".2")
	send(prefix+".2", "c")
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "a new topic matches a source") }, waitLong, tick)
	stop()
	require.Equal(t, []string{"ab"}, s.values(t, s.out)[len(s.values(t, s.out))-1:])

	_, stop = s.start(t, top, cfg)
	awaitValue("abc")
	send(prefix+".1", "d")
	awaitValue("abcd")
	stop()
	require.NotContains(t, s.log.String(), "level=ERROR")
}
