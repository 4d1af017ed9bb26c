package e2e

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/test/kafka"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// createTimeless creates a topic that takes every time.
func (s *site) createTimeless(t *testing.T, name string) string {
	t.Helper()
	name = unique(name)
	limit := "9223372036854775807"
	_, err := s.admin.CreateTopic(t.Context(), 1, 1, map[string]*string{
		"message.timestamp.before.max.ms": &limit, "message.timestamp.after.max.ms": &limit,
	}, name)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		ends, err := s.admin.ListEndOffsets(t.Context(), name)
		return err == nil && ends.Error() == nil && len(ends[name]) == 1
	}, waitLong, tick)
	return name
}

// TestTimes_repartitionTopicsKeepThem groups records of another day and of two hours ahead. The repartition topic had
// the defaults of the cluster: with LogAppendTime all records were in one window, and a Kafka 4 refused the record that
// is ahead, which stopped the application.
func TestTimes_repartitionTopicsKeepThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	out := s.createTimeless(t, "windows")
	b := topology.NewBuilder(s.app)
	text := codecs.String
	inValue := topology.TimestampOf(func(r topology.Record[string, string], _ int64) int64 {
		at, err := time.Parse(time.RFC3339, r.Value)
		if err != nil {
			panic(err)
		}
		return at.UnixMilli()
	})
	topology.Source(b, s.in, text, text, inValue).
		GroupBy("by-day", func(_, v string) string { return v[:len("2013-01-15")] }, text, text).
		WindowedBy(topology.Tumbling(time.Hour)).
		Count("counts").
		ToStream(func(_ string, w state.Window) string { return time.UnixMilli(w.Start).UTC().Format("2006-01-02T15") }).
		Map(func(hour string, n int64) (string, string) { return hour, hour + " " + strconv.FormatInt(n, 10) }).
		To(out, text, text)
	top, err := b.Build()
	require.NoError(t, err)
	cfg := s.config(t)
	cfg.MaxTimeAhead = 3 * time.Hour
	_, stop := s.start(t, top, cfg)
	ahead := time.Now().UTC().Add(2 * time.Hour)
	s.send(t, "2013-01-15T10:05:00Z", "2013-01-15T10:55:00Z", "2013-01-15T11:05:00Z", ahead.Format(time.RFC3339))
	want := []string{"2013-01-15T10 1", "2013-01-15T10 2", "2013-01-15T11 1", ahead.Format("2006-01-02T15") + " 1"}
	require.Eventually(t, func() bool { return len(s.values(t, out)) >= len(want) }, waitLong, tick, "log:\n%s", s.log)
	stop()
	require.Equal(t, want, s.values(t, out))
	require.Zero(t, s.mu.failures, "log:\n%s", s.log)
}

// Kafka 4 refuses output that is two hours ahead, with the whole batch it is in. The policy decides about the record
// that is ahead, and about no other.
func TestTimes_refusedOutputIsThatOfOneRecord(t *testing.T) {
	t.Parallel()
	if os.Getenv(kafka.Env) == "" {
		t.Skip("the embedded broker takes every time")
	}
	s := newSite(t)
	s.in = s.createTimeless(t, "in")
	define := func(opts ...topology.BuilderOption) *topology.Topology {
		b := topology.NewBuilder(s.app, opts...)
		lines := topology.Source(b, s.in, codecs.String, codecs.String)
		lines.GroupByKey().Count("counts")
		lines.To(s.out, codecs.String, codecs.String)
		top, err := b.Build()
		require.NoError(t, err)
		return top
	}
	cfg := s.config(t)
	cfg.MaxTimeAhead = -1
	ahead := time.Now().Add(2 * time.Hour)
	records := []*kgo.Record{{Value: []byte("a")}, {Value: []byte("b"), Timestamp: ahead}, {Value: []byte("c")}}
	for _, r := range records {
		r.Topic, r.Key = s.in, []byte("k")
	}
	require.NoError(t, s.kafka.ProduceSync(t.Context(), records...).FirstErr())
	err := s.fail(t, define(topology.OnProduceFailure(topology.Stop())), cfg)
	require.ErrorContains(t, err, "outputs of "+s.in+"/0 offset 1: produce to "+s.out+"/0: a record of "+ahead.UTC().Format(time.RFC3339))
	require.ErrorContains(t, err, "message.timestamp.after.max.ms=3600000")
	require.ErrorContains(t, err, "kafka-configs --alter --topic "+s.out+" --add-config message.timestamp.after.max.ms=9223372036854775807")

	_, stop := s.start(t, define(topology.OnProduceFailure(topology.Skip())), cfg)
	s.await(t, 3)
	stop()
	require.Equal(t, []string{"a", "c"}, s.values(t, s.out))
	require.EqualValues(t, 2, s.count(t))
	require.Equal(t, []int64{1}, s.skippedOffsets())
}

// TestTimes_aheadOfTheClock reads a record in microseconds among others. It closed all windows for ever, or looked like
// any other time of three centuries, since the client cannot represent it. Now nothing of it is processed.
func TestTimes_aheadOfTheClock(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.in = s.createTimeless(t, "in")
	now := time.Now().UnixMilli()
	brokertest.ProduceAt(t, s.brokers, s.in, now, now*1000, now+1, now+2*time.Hour.Milliseconds(), 1<<57, now+2)

	err := s.fail(t, s.topology(t, refuse), s.config(t))
	require.ErrorContains(t, err, "process "+s.in+"/0 offset 1:")
	require.ErrorContains(t, err, "("+strconv.FormatInt(now*1000, 10)+"), which are microseconds rather than milliseconds, more than MaxTimeAhead, 1h0m0s, ahead")
	require.ErrorContains(t, err, "set the clock of this machine, or raise Config.MaxTimeAhead; or let the topology pass over such records with topology.OnTimeAhead")

	_, stop := s.start(t, s.topology(t, refuse, topology.OnTimeAhead(topology.Skip())), s.config(t))
	s.await(t, 6)
	stop()
	require.Equal(t, []string{"0", "2", "5"}, s.values(t, s.out))
	require.Equal(t, []int64{1, 3, 4}, s.skippedOffsets())
	first := s.mu.skipped[0]
	require.Equal(t, processors.RecordAhead, first.Kind)
	require.Equal(t, now*1000, first.Record.Timestamp)
	require.Contains(t, s.log.String(), `msg="record skipped" group=`+s.group+` partition=0 topic=`+s.in+` offset=1`)
	require.Contains(t, s.log.String(), "reason=time-ahead")
	require.Contains(t, s.log.String(), "setting=MaxTimeAhead")
}

// TestTimes_areSetBack lets a record of the year 2200 in, without a bound: the records after it are late, also after a
// restart. Then it sets the times back, as `millrace times set` does, and the records count again, both with the local
// state and without it.
func TestTimes_areSetBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.in = s.createTimeless(t, "in")
	out := s.createTimeless(t, "out")
	b := topology.NewBuilder(s.app)
	text := codecs.String
	topology.Source(b, s.in, text, text).GroupByKey().WindowedBy(topology.Tumbling(time.Hour)).Count("counts").
		ToStream(func(k string, _ state.Window) string { return k }).
		MapValues(func(n int64) string { return strconv.FormatInt(n, 10) }).To(out, text, text)
	top, err := b.Build()
	require.NoError(t, err)
	now := time.Now().Truncate(time.Hour)
	send := func(at time.Time) {
		record := &kgo.Record{Topic: s.in, Key: []byte("0"), Timestamp: at}
		require.NoError(t, s.kafka.ProduceSync(t.Context(), record).FirstErr())
	}
	cfg := s.config(t)
	cfg.MaxTimeAhead = -1
	work := func(until int64) {
		_, stop := s.start(t, top, cfg)
		s.await(t, until)
		stop()
	}
	send(now)
	send(now.AddDate(174, 0, 0))
	send(now.Add(time.Minute))
	work(3)
	require.Equal(t, []string{"1", "1"}, s.values(t, out), "the third is late")
	send(now.Add(2 * time.Minute))
	work(4)
	require.Equal(t, []string{"1", "1"}, s.values(t, out), "for ever")

	client, err := broker.Connect(t.Context(), broker.Config{Brokers: s.brokers})
	require.NoError(t, err)
	defer client.Close()
	lowered := 0
	rewrite := broker.Rewrite{
		Group: s.group, Topic: s.table(),
		Wanted: func(key []byte) bool {
			store, _, ok := state.SplitRowKey(key)
			return string(key) == state.PositionKey || ok && store == engine.TimesStore
		},
		Change: func(rows map[string][]byte) (changed []broker.ChangedRow, err error) {
			for key, row := range rows {
				if key != state.PositionKey {
					low, _, err := engine.LowerTime(row, now.UnixMilli())
					require.NoError(t, err)
					changed = append(changed, broker.ChangedRow{Key: []byte(key), Value: low})
				}
			}
			lowered = len(changed)
			position, err := state.DecodePosition(rows[state.PositionKey])
			require.True(t, position.Lower(now.UnixMilli()))
			return append(changed, broker.ChangedRow{Key: []byte(state.PositionKey), Value: position.Append(nil)}), err
		},
	}
	require.NoError(t, rewrite.Run(t.Context(), client))
	require.Positive(t, lowered)
	send(now.Add(3 * time.Minute))
	work(5)
	// The row of the first window has expired, and does not come back.
	require.Equal(t, []string{"1", "1", "1"}, s.values(t, out))
	cfg.Dir = t.TempDir()
	send(now.Add(4 * time.Minute))
	work(6)
	require.Equal(t, []string{"1", "1", "1", "2"}, s.values(t, out))
}
