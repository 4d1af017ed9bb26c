package e2e

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

func same(v string) string { return v }

// produceRecords writes records to the input.
func (s *site) produceRecords(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	for _, r := range records {
		r.Topic = s.in
	}
	require.NoError(t, s.kafka.ProduceSync(t.Context(), records...).FirstErr())
}

func TestBadInput_negativeTimestampsAndNullsAreDroppedByReasonOrPassedOn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var mu sync.Mutex
	drops := make(map[int64]string)
	cfg := s.config(t)
	cfg.Hooks = processors.JoinHooks(cfg.Hooks, processors.Hooks{Dropped: func(_ string, d engine.Drop) {
		mu.Lock()
		defer mu.Unlock()
		drops[d.Offset] = d.Reason
	}})
	app, stop := s.start(t, s.topology(t, same), cfg)
	s.produceRecords(t,
		&kgo.Record{Key: []byte("k"), Value: []byte("old"), Timestamp: time.UnixMilli(-1)},
		&kgo.Record{Value: []byte("no key")},
		&kgo.Record{Key: []byte("k")},
		&kgo.Record{},
		&kgo.Record{Key: []byte{}, Value: []byte{}},
		&kgo.Record{Key: []byte("k"), Value: []byte("v")},
	)
	s.await(t, 6)
	dropped := app.Info(t.Context()).Groups[0].Tasks[0].Dropped
	require.Equal(t, map[string]int64{"negative-timestamp": 1, "null-key": 2, "null-value": 1}, dropped)
	stop()
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, map[int64]string{0: "negative-timestamp", 1: "null-key", 2: "null-value", 3: "null-key"}, drops)
	require.Equal(t, int64(1), s.count(t))
	require.Equal(t, []string{"no key", "", "", "", "v"}, s.values(t, s.out), "what needs no key passes on")
}

func TestBadInput_headersOfOddSizesPassThrough(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	headers := []kgo.RecordHeader{
		{Key: "", Value: []byte("empty key")},
		{Key: "nil"},
		{Key: "empty", Value: []byte{}},
		{Key: "twice", Value: []byte{1}},
		{Key: "twice", Value: []byte{2}},
		{Key: strings.Repeat("k", 64<<10), Value: bytes.Repeat([]byte{0}, 64<<10)},
		{Key: "millrace-mark", Value: []byte{1}},
		{Key: "\xff\x00", Value: []byte{0xff}},
	}
	_, stop := s.start(t, s.topology(t, same), s.config(t))
	s.produceRecords(t, &kgo.Record{Key: []byte("k"), Value: []byte("v"), Headers: headers})
	s.await(t, 1)
	stop()
	for _, topic := range []string{s.seen, s.out} {
		got := s.read(t, topic)
		require.Len(t, got, 1)
		require.Len(t, got[0].Headers, len(headers))
		for i, h := range got[0].Headers {
			require.Equal(t, headers[i].Key, h.Key)
			require.Equal(t, string(headers[i].Value), string(h.Value))
			require.Equal(t, headers[i].Value == nil, h.Value == nil)
		}
	}
}

// The application can read and write every record that a topic accepts: the limit is the topic's, not the client's.
func TestBadInput_recordsAsLargeAsTheTopicsTake(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, topic := range []string{s.in, s.out, s.seen} {
		s.alter(t, topic, "max.message.bytes", "5000000")
	}
	_, stop := s.start(t, s.topology(t, same), s.config(t))
	large, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ProducerBatchMaxBytes(5_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	defer large.Close()
	sizes := []int{1<<20 - 200, 1 << 20, 4 << 20, 1}
	for _, size := range sizes {
		require.NoError(t, large.ProduceSync(t.Context(), &kgo.Record{Topic: s.in, Key: []byte("k"), Value: bytes.Repeat([]byte{'x'}, size)}).FirstErr())
	}
	s.await(t, int64(len(sizes)))
	stop()
	got := s.values(t, s.out)
	require.Len(t, got, len(sizes))
	for i, size := range sizes {
		require.Len(t, got[i], size)
	}
	require.Zero(t, s.mu.failures)
}

// A topic with Kafka's default takes a little more than franz-go's default.
func TestBadInput_recordsNearTheDefaultLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, stop := s.start(t, s.topology(t, same), s.config(t))
	near, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.ProducerBatchMaxBytes(1048588), kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	defer near.Close()
	require.NoError(t, near.ProduceSync(t.Context(), &kgo.Record{Topic: s.in, Key: []byte("k"), Value: bytes.Repeat([]byte{'x'}, 1048400)}).FirstErr())
	s.await(t, 1)
	stop()
	require.Len(t, s.values(t, s.out)[0], 1048400)
	require.Zero(t, s.mu.failures)
}

func TestBadInput_aDirectoryInUseIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	top := s.topology(t, same)
	_, stop := s.start(t, top, s.config(t))
	s.send(t, "a")
	s.await(t, 1)
	err := s.fail(t, top, s.config(t))
	require.ErrorContains(t, err, s.dir)
	require.ErrorContains(t, err, "stop the other process or give each its own directory")
	stop()
}

func TestBadInput_recreatedTopicsAreRefused(t *testing.T) {
	t.Parallel()
	for name, topic := range map[string]func(*site) string{
		"input":     func(s *site) string { return s.in },
		"changelog": (*site).table,
	} {
		t.Run(name+" while stopped", func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			top := s.topology(t, same)
			_, stop := s.start(t, top, s.config(t))
			s.send(t, "a", "b")
			s.await(t, 2)
			stop()
			s.recreate(t, topic(s))
			s.send(t, "c", "d", "e")
			err := s.fail(t, top, s.config(t))
			require.ErrorContains(t, err, topic(s))
			require.ErrorContains(t, err, "deleted and created again")
			require.ErrorContains(t, err, "reset the offsets of the group")
		})
		t.Run(name+" while running", func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			top := s.topology(t, same)
			done := s.launch(t, top, s.config(t))
			s.send(t, "a", "b")
			s.await(t, 2)
			s.recreate(t, topic(s))
			s.send(t, "c", "d", "e")
			err := s.ended(t, done)
			require.ErrorContains(t, err, topic(s))
			require.ErrorContains(t, err, "deleted and created again")
		})
		t.Run(name+" deleted while running", func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			top := s.topology(t, same)
			done := s.launch(t, top, s.config(t))
			s.send(t, "a", "b")
			s.await(t, 2)
			s.remove(t, topic(s))
			if topic(s) != s.in {
				s.send(t, "c") // nobody looks at the changelog before there is something to write
			}
			err := s.ended(t, done)
			require.ErrorContains(t, err, topic(s))
			require.ErrorContains(t, err, "does not exist")
		})
	}
}

// Another program with the same name and another input must not go on with the state of the first one.
func TestBadInput_twoApplicationsWithTheSameName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, stop := s.start(t, s.topology(t, same), s.config(t))
	s.send(t, "a")
	s.await(t, 1)
	stop()

	other := unique("other")
	s.create(t, other)
	b := topology.NewBuilder(s.app)
	topology.Source(b, other, codecs.String, codecs.String).GroupByKey().Count("counts")
	top, err := b.Build()
	require.NoError(t, err)
	cfg := s.config(t)
	cfg.Dir = t.TempDir()
	err = s.fail(t, top, cfg)
	require.ErrorContains(t, err, "the two have the same name: rename one of them")
	require.ErrorContains(t, err, `is made from `+other+` instead of `+s.in)

	b = topology.NewBuilder(s.app)
	topology.Source(b, s.in, codecs.String, codecs.String).GroupByKey().WindowedBy(topology.Tumbling(time.Minute)).Count("counts")
	top, err = b.Build()
	require.NoError(t, err)
	err = s.fail(t, top, cfg)
	require.ErrorContains(t, err, `store "counts" of group `+s.group+` is a window store instead of a key-value store`)
	require.ErrorContains(t, err, "give the store another name")

	// The same input and one store more: it may be the next version.
	b = topology.NewBuilder(s.app)
	lines := topology.Source(b, s.in, codecs.String, codecs.String)
	lines.GroupByKey().Count("counts")
	lines.GroupByKey().Count("more")
	top, err = b.Build()
	require.NoError(t, err)
	_, stop = s.start(t, top, cfg)
	s.send(t, "b")
	s.await(t, 2)
	stop()
	require.Equal(t, int64(2), s.count(t))
	require.Equal(t, 1, strings.Count(s.log.String(), "the state was last written by another topology"))
}

// grow runs an application until it has noticed that a topic has more partitions than it had.
func (s *site) grow(t *testing.T, top *topology.Topology, topic string) error {
	t.Helper()
	done := s.launch(t, top, s.config(t))
	s.send(t, "a")
	s.await(t, 1)
	_, err := s.admin.CreatePartitions(t.Context(), 1, topic)
	require.NoError(t, err)
	return s.ended(t, done)
}

func TestBadInput_anInputThatGetsMorePartitionsWhileRunning(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	err := s.grow(t, s.topology(t, same), s.in)
	require.ErrorContains(t, err, "group "+s.group+": its inputs have got more than the 1 partitions that its state has")
}

func TestBadInput_inputsThatBecomeUnevenWhileRunning(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	names := unique("names")
	s.create(t, names)
	b := topology.NewBuilder(s.app)
	table := topology.TableOf(b, names, codecs.String, codecs.String)
	topology.Source(b, s.in, codecs.String, codecs.String).
		JoinTable(table, func(v, name string) string { return v + name }).
		GroupByKey().Count("counts")
	top, err := b.Build()
	require.NoError(t, err)
	err = s.grow(t, top, names)
	require.ErrorContains(t, err, "not co-partitioned")
	require.ErrorContains(t, err, names+" has 2 partitions")
	require.ErrorContains(t, err, s.in+" has 1 partitions")
}

// Records that retention deleted before they were processed, while the application was down.
func TestBadInput_offsetsBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	top := s.topology(t, same)
	_, stop := s.start(t, top, s.config(t))
	s.send(t, "a", "b")
	s.await(t, 2)
	stop()
	s.send(t, "c", "d", "e")
	var upTo kadm.Offsets
	upTo.AddOffset(s.in, 0, 4, -1)
	_, err := s.admin.DeleteRecords(t.Context(), upTo)
	require.NoError(t, err)
	err = s.fail(t, top, s.config(t))
	require.ErrorContains(t, err, "read "+s.in+"/0 from offset 2, in a log from 4 to 5")
	require.ErrorContains(t, err, "retention deleted records that were not processed yet")
	require.ErrorContains(t, err, "build the state anew")
}

// The group's offset is set beyond the end of the input, before the first start and after it.
func TestBadInput_offsetsBeyondTheEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	top := s.topology(t, same)
	s.send(t, "a")
	s.commitOffset(t, 7)
	err := s.fail(t, top, s.config(t))
	require.ErrorContains(t, err, "has committed offset 7 of "+s.in+"/0, but its table "+s.table()+" holds no state")
	require.ErrorContains(t, err, "reset the group's offsets")

	_, err = s.admin.DeleteOffsets(t.Context(), s.group, kadm.TopicsSet{s.in: {0: {}}})
	require.NoError(t, err)
	_, stop := s.start(t, top, s.config(t))
	s.await(t, 1)
	stop()
	s.commitOffset(t, 7)
	err = s.fail(t, top, s.config(t))
	require.ErrorContains(t, err, "has committed offset 7 of "+s.in+"/0, but its state reflects 1: the offsets were changed by hand; set them back")
}

// commitOffset sets the group's offset of the input.
func (s *site) commitOffset(t *testing.T, offset int64) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(s.in, 0, offset, -1)
	require.NoError(t, s.admin.CommitAllOffsets(t.Context(), s.group, offsets))
}
