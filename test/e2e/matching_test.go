package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/views"
)

// matchingSite is an application that appends the values of all topics prefix.0 to prefix.9.
type matchingSite struct {
	*site
	top    *topology.Topology
	prefix string
	cfg    processors.Config
}

func newMatchingSite(t *testing.T) *matchingSite {
	t.Helper()
	s := &matchingSite{site: newSite(t), prefix: unique("lines")}
	b := topology.NewBuilder(s.app)
	topology.SourceMatching(b, "all-lines", regexp.QuoteMeta(s.prefix)+`\.\d`, codecs.String, codecs.String).
		GroupByKey().
		Aggregate("all", func() string { return "" }, func(_, v, all string) string { return all + v }, codecs.String).
		ToStream().
		To(s.out, codecs.String, codecs.String)
	var err error
	s.top, err = b.Build()
	require.NoError(t, err)
	s.cfg = s.config(t)
	s.cfg.MetadataMaxAge = 20 * tick
	return s
}

// topic is one that matches.
func (s *matchingSite) topic(n int) string { return fmt.Sprintf("%s.%d", s.prefix, n) }

func (s *matchingSite) sendTo(t *testing.T, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		require.NoError(t, s.kafka.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte(v)}).FirstErr())
	}
}

func (s *matchingSite) awaitValue(t *testing.T, want string) {
	t.Helper()
	eventually(t, func() bool { return slices.Contains(s.values(t, s.out), want) }, "log:\n%s", s.log)
}

func (s *matchingSite) awaitLog(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), text) }, waitLong, tick, "%s; log:\n%s", text, s.log)
}

// awaitIdentity waits until the state records that it was made from n topics.
func (s *matchingSite) awaitIdentity(t *testing.T, n int) {
	t.Helper()
	eventually(t, func() bool {
		var inputs map[string]string
		for _, r := range s.read(t, s.app+"-all-table") {
			if string(r.Key) == "\x00identity" {
				var identity struct{ Inputs map[string]string }
				require.NoError(t, json.Unmarshal(r.Value, &identity))
				inputs = identity.Inputs
			}
		}
		return len(inputs) == n
	})
}

// An application waits for the first topic that matches, reads topics that are created later while it runs, with or
// without records, and knows all of them when it starts again.
func TestSourceMatching_topicsComeLater(t *testing.T) {
	t.Parallel()
	s := newMatchingSite(t)
	changes := make(chan []string, 10)
	s.cfg.Hooks = processors.JoinHooks(s.cfg.Hooks, processors.Hooks{InputsChanged: func(group string, added, removed []string) {
		changes <- append([]string{group, fmt.Sprint(len(removed))}, added...)
	}})
	_, stop := s.start(t, s.top, s.cfg)
	s.awaitLog(t, "no topic matches a source")
	s.create(t, s.topic(1), s.prefix+".x")
	s.sendTo(t, s.topic(1), "a", "b")
	s.awaitValue(t, "ab")
	s.create(t, s.topic(2))
	s.sendTo(t, s.topic(2), "c")
	s.awaitValue(t, "abc")
	require.Equal(t, []string{s.app + "-all", "0", s.topic(2)}, <-changes)
	s.sendTo(t, s.topic(1), "d")
	s.awaitValue(t, "abcd")
	s.create(t, s.topic(3), s.topic(4))
	s.sendTo(t, s.topic(4), "e")
	s.awaitValue(t, "abcde")
	stop()
	s.sendTo(t, s.topic(3), "f")

	_, stop = s.start(t, s.top, s.cfg)
	s.awaitValue(t, "abcdef")
	s.sendTo(t, s.topic(2), "g")
	s.awaitValue(t, "abcdefg")
	stop()
	require.Equal(t, "abcdefg", s.values(t, s.out)[len(s.values(t, s.out))-1])
	require.NotContains(t, s.log.String(), "level=ERROR")
	require.NotContains(t, s.log.String(), "task failed")
}

// A topic with more partitions than the state is not read, and a deleted topic is no longer read. The application goes
// on with the others, and waits if there are none.
func TestSourceMatching_topicsThatDoNotFitOrGo(t *testing.T) {
	t.Parallel()
	s := newMatchingSite(t)
	s.create(t, s.topic(1))
	s.sendTo(t, s.topic(1), "a")
	app, stop := s.start(t, s.top, s.cfg)
	s.awaitValue(t, "a")

	s.createSized(t, 3, s.topic(2))
	s.awaitLog(t, "cannot be read")
	require.Contains(t, app.Info(t.Context()).Unread[s.topic(2)],
		"it has 3 partitions, and the state of group "+s.app+"-all has a place for 1: equal keys would be in other partitions; delete it")
	s.sendTo(t, s.topic(1), "b")
	s.awaitValue(t, "ab")
	s.remove(t, s.topic(2))
	require.Eventually(t, func() bool { return len(app.Info(t.Context()).Unread) == 0 }, waitLong, tick)
	s.create(t, s.topic(3))
	s.sendTo(t, s.topic(3), "c")
	s.awaitValue(t, "abc")

	s.remove(t, s.topic(1))
	s.awaitLog(t, "does not exist any more")
	s.sendTo(t, s.topic(3), "d")
	s.awaitValue(t, "abcd")
	s.remove(t, s.topic(3))
	s.awaitLog(t, "no topic matches a source")
	require.Eventually(t, func() bool { return len(app.Info(t.Context()).Groups[0].Tasks) == 0 }, waitLong, tick)
	s.create(t, s.topic(4))
	s.sendTo(t, s.topic(4), "e")
	s.awaitValue(t, "abcde")
	require.Equal(t, processors.Running, app.State())

	// The same name again is another topic, once the group has left the one before.
	s.create(t, s.topic(5))
	s.sendTo(t, s.topic(5), "f", "g", "h")
	s.awaitValue(t, "abcdefgh")
	s.remove(t, s.topic(5))
	s.awaitLog(t, "removed=["+s.topic(5)+"]")
	s.awaitIdentity(t, 1)
	s.renew(t, s.topic(5))
	s.sendTo(t, s.topic(5), "i")
	s.awaitValue(t, "abcdefghi")
	stop()
	require.NotContains(t, s.log.String(), "level=ERROR")
}

// matchingTopic names the topics of an application that counts in two stages.
func matchingTopic(prefix string, n int) string { return fmt.Sprintf("%s.%d", prefix, n) }

// Topics are created while records arrive and instances join and leave. Each record counts once, in both stages, and
// views know their positions in topics that did not exist when the views were opened.
func TestSourceMatching_isExactWhileTopicsAndInstancesComeAndGo(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []processors.Guarantee{processors.ExactlyOnce, processors.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) { matchingUnderLoad(t, guarantee) })
	}
}

func matchingUnderLoad(t *testing.T, guarantee processors.Guarantee) {
	c := openCluster(t)
	prefix, out := unique("lines"), unique("out")
	c.createSized(t, 1, out)
	b := topology.NewBuilder(unique("app"))
	lines := topology.SourceMatching(b, "all-lines", regexp.QuoteMeta(prefix)+`\.\d`, codecs.String, codecs.String)
	lines.GroupByKey().Count("by-key").ToStream().To(out, codecs.String, codecs.Int64)
	lines.Rekey(func(_, v string) string { return v }).Repartition("words", codecs.String, codecs.String).GroupByKey().Count("by-word")
	top, err := b.Build()
	require.NoError(t, err)

	start := func() (app *processors.App, stop func()) {
		app, err := processors.New(top, processors.Config{
			Brokers: c.brokers, Dir: t.TempDir(), Logger: testLogger(t), CommitInterval: 20 * time.Millisecond, SessionTimeout: 6 * time.Second,
			Guarantee: guarantee, Address: unique("instance"), MetadataMaxAge: time.Second,
		})
		require.NoError(t, err)
		return app, inBackground(t, app.Run)
	}
	written, offsets := 0, make(state.Offsets)
	wantKeys, wantWords := make(map[string]int64), make(map[string]int64)
	produce := func(rounds int, topics ...int) {
		for range rounds {
			var records []*kgo.Record
			for range 50 {
				topic := matchingTopic(prefix, topics[written%len(topics)])
				key, word := fmt.Sprintf("%s %d", topic, written%7), fmt.Sprint("w", written%5)
				wantKeys[key]++
				wantWords[word]++
				records = append(records, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(word)})
				written++
			}
			offsets = offsets.Merge(c.produceAll(t, records...))
		}
	}
	reads := func(app *processors.App, n int) bool {
		groups := app.Info(t.Context()).Groups
		if len(groups) == 0 {
			return false
		}
		tasks := groups[0].Tasks
		return len(tasks) > 0 && !slices.ContainsFunc(tasks, func(task processors.TaskInfo) bool {
			return !slices.ContainsFunc(task.Inputs, func(in processors.InputInfo) bool { return in.Topic == matchingTopic(prefix, n) })
		})
	}

	c.createSized(t, 4, matchingTopic(prefix, 0))
	first, stopFirst := start()
	_, stopSecond := start()
	produce(5, 0)
	v, stopViews := c.openViews(t, top.Tables()...)
	c.createSized(t, 2, matchingTopic(prefix, 1))
	produce(20, 0, 1)
	c.createSized(t, 4, matchingTopic(prefix, 2), matchingTopic(prefix, 3))
	third, stopThird := start() // it knows more than the others, perhaps
	produce(20, 0, 1, 2, 3)
	require.Eventually(t, func() bool { return reads(third, 3) }, waitLong, tick)
	c.createSized(t, 1, matchingTopic(prefix, 4))
	produce(10, 4, 0)
	stopFirst()
	produce(10, 1, 4, 3)

	wait, waited := context.WithTimeout(t.Context(), time.Minute)
	defer waited()
	require.NoError(t, v.Wait(wait, offsets))
	for store, want := range map[string]map[string]int64{"by-key": wantKeys, "by-word": wantWords} {
		rows, err := views.KeyValue(v, store, codecs.String, codecs.Int64)
		require.NoError(t, err)
		if guarantee == processors.ExactlyOnce {
			require.Equal(t, want, counts(t, rows), store)
			continue
		}
		for key, n := range counts(t, rows) {
			require.GreaterOrEqual(t, n, want[key], "%s of %s", key, store)
			delete(want, key)
		}
		require.Empty(t, want, store)
	}
	require.Equal(t, processors.Closed, first.State())
	stopSecond()
	stopThird()
	stopViews()
	if guarantee != processors.ExactlyOnce {
		return
	}
	next := make(map[string]int64)
	for _, r := range c.read(t, out) {
		n, err := codecs.Int64.Decode(r.Value)
		require.NoError(t, err)
		next[string(r.Key)]++
		require.Equal(t, next[string(r.Key)], n, "count of %s", r.Key)
	}
	require.Equal(t, wantKeys, next)
}
