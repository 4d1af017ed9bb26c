package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/processors"
	"github.com/seed84377926/millrace/topology"
)

// refuse panics on values that begin with "bad".
func refuse(v string) string {
	if strings.HasPrefix(v, "bad") {
		panic("refused " + v)
	}
	return v
}

// mixed returns n values, every seventh of which is bad, and the offsets of the bad ones.
func mixed(from, n int, bad string) (values, good []string, offsets []int64) {
	for i := from; i < from+n; i++ {
		v := fmt.Sprint("v", i)
		if i%7 == 3 {
			v = bad + v
			offsets = append(offsets, int64(i))
		} else {
			good = append(good, v)
		}
		values = append(values, v)
	}
	return values, good, offsets
}

// requireOnly compares outputs, table and hooks with the records that were not skipped.
func (s *site) requireOnly(t *testing.T, good []string, skipped []int64) {
	t.Helper()
	require.Equal(t, good, s.values(t, s.seen), "what came before the failing operator")
	require.Equal(t, good, s.values(t, s.out))
	require.Equal(t, int64(len(good)), s.count(t))
	offsets := s.skippedOffsets()
	slices.Sort(offsets)
	require.Equal(t, skipped, offsets)
}

// A record whose processing fails half-way leaves no trace when it is skipped, and all others count once: the records
// before it in the same transaction, which is aborted, and the records after it, both while the task catches up and
// later.
func TestPolicy_skippingAFailedRecordIsExact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	top := s.topology(t, refuse, topology.OnProcessingFailure(topology.Skip()))
	values, good, bad := mixed(0, 200, "bad")
	s.send(t, values...)
	app, stop := s.start(t, top, s.config(t))
	s.await(t, 200)
	for i := 200; i < 240; i++ {
		values, more, offsets := mixed(i, 1, "bad")
		s.send(t, values...)
		good, bad = append(good, more...), append(bad, offsets...)
	}
	s.await(t, 240)
	require.Eventually(t, func() bool {
		return app.Info(t.Context()).Groups[0].Tasks[0].Dropped["skipped-processing"] == int64(len(bad))
	}, waitLong, tick)
	stop()
	s.requireOnly(t, good, bad)

	first := s.mu.skipped[0]
	require.Equal(t, processors.FailedProcessing, first.Kind)
	require.Equal(t, "risky", first.Node)
	require.Equal(t, s.in, first.Topic)
	require.Equal(t, s.app+"-counts", first.Group)
	require.Equal(t, "badv3", string(first.Record.Value))
	require.ErrorContains(t, first.Err, "refused badv3")
	require.Contains(t, s.log.String(), `level=WARN msg="record skipped"`)
	require.Contains(t, s.log.String(), "topic="+s.in+" offset=3 node=risky reason=processing")
	require.Zero(t, s.mu.failures, "a skipped record is no failure of the task")
}

// The first failure comes late in a long transaction: the records since the last commit are no longer in memory.
func TestPolicy_skippingAfterALongTransactionIsExact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const n = 10_000 // several units
	values := make([]string, n)
	for i := range values {
		values[i] = fmt.Sprint("v", i)
	}
	values[n-2] = "bad"
	s.send(t, values...)
	cfg := s.config(t)
	cfg.CommitInterval = time.Minute // nothing is committed before the failure
	_, stop := s.start(t, s.topology(t, refuse, topology.OnProcessingFailure(topology.Skip())), cfg)
	s.await(t, n)
	stop()
	s.requireOnly(t, slices.Delete(values, n-2, n-1), []int64{n - 2})
}

func TestPolicy_skippingUndecodableRecordsIsExact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := topology.NewBuilder(s.app, topology.OnUndecodable(topology.Skip()))
	lines := topology.Source(b, s.in, codecs.String, codecs.Int64)
	lines.To(s.seen, codecs.String, codecs.Int64)
	lines.GroupByKey().Count("counts")
	lines.To(s.out, codecs.String, codecs.Int64)
	top, err := b.Build()
	require.NoError(t, err)

	_, stop := s.start(t, top, s.config(t))
	s.send(t, "12345678", "short", "87654321", "", "too long for it")
	s.await(t, 5)
	stop()
	s.requireOnly(t, []string{"12345678", "87654321"}, []int64{1, 3, 4})
	require.Equal(t, processors.UndecodableRecord, s.mu.skipped[0].Kind)
	require.Equal(t, "source-"+s.in, s.mu.skipped[0].Node)
}

func TestPolicy_undecodableKeysAreSkippedToo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := topology.NewBuilder(s.app, topology.OnUndecodable(topology.Skip()))
	topology.Source(b, s.in, codecs.Int64, codecs.String).GroupByKey().Count("counts")
	top, err := b.Build()
	require.NoError(t, err)
	_, stop := s.start(t, top, s.config(t))
	s.send(t, "v") // its key is k
	s.await(t, 1)
	stop()
	require.Equal(t, []int64{0}, s.skippedOffsets())
	require.ErrorContains(t, s.mu.skipped[0].Err, "key cannot be decoded")
}

// Output that its topic refuses is attributed to the records that caused it; all of them are found in one pass.
func TestPolicy_skippingAFailedProduceIsExact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alter(t, s.out, "max.message.bytes", "2000")
	top := s.topology(t, func(v string) string {
		if strings.HasPrefix(v, "bad") {
			return strings.Repeat("x", 3000)
		}
		return v
	}, topology.OnProduceFailure(topology.Skip()))
	values, good, bad := mixed(0, 200, "bad")
	s.send(t, values...)
	_, stop := s.start(t, top, s.config(t))
	s.await(t, 200)
	values, more, offsets := mixed(200, 50, "bad")
	s.send(t, values...)
	s.await(t, 250)
	stop()
	s.requireOnly(t, append(good, more...), append(bad, offsets...))
	require.Equal(t, processors.FailedProduce, s.mu.skipped[0].Kind)
	require.Equal(t, s.out, s.mu.skipped[0].Node)
	require.ErrorContains(t, s.mu.skipped[0].Err, "MESSAGE_TOO_LARGE")
}

// A changelog row is the result of many records. The record that made it too large is found by trying.
func TestPolicy_skippingTheRecordThatMakesARowTooLargeIsExact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := topology.NewBuilder(s.app, topology.OnProduceFailure(topology.Skip()))
	lines := topology.Source(b, s.in, codecs.String, codecs.String)
	lines.To(s.seen, codecs.String, codecs.String)
	lines.GroupByKey().Aggregate("counts", func() string { return "" }, func(_, v, all string) string {
		return all + v
	}, codecs.String).ToStream().To(s.out, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	_, stop := s.start(t, top, s.config(t)) // makes the table
	s.send(t, "a")
	s.await(t, 1)
	stop()

	s.alter(t, s.table(), "max.message.bytes", "2000")
	values := slices.Repeat([]string{"b"}, 100)
	values[60] = strings.Repeat("x", 3000)
	s.send(t, values...)
	cfg := s.config(t)
	cfg.CommitInterval = 2 * time.Second
	_, stop = s.start(t, top, cfg)
	s.await(t, 101)
	stop()
	require.Equal(t, []int64{61}, s.skippedOffsets())
	require.Equal(t, processors.FailedProduce, s.mu.skipped[0].Kind)
	require.Equal(t, "a"+strings.Repeat("b", 99), strings.Join(s.values(t, s.seen), ""))
	out := s.values(t, s.out)
	require.Equal(t, "a"+strings.Repeat("b", 99), out[len(out)-1])
	require.Len(t, out, 100)
}

// fragile encodes all values except one.
type fragile struct{ codecs.Codec[string] }

func (c fragile) Append(dst []byte, v string) ([]byte, error) {
	if strings.Contains(v, "!") {
		panic("no exclamation marks")
	}
	return c.Codec.Append(dst, v)
}

// State is encoded at the commit, long after the record that led to it was processed.
func TestPolicy_skippingTheRecordWhoseStateCannotBeEncodedIsExact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := topology.NewBuilder(s.app, topology.OnProcessingFailure(topology.Skip()))
	lines := topology.Source(b, s.in, codecs.String, codecs.String)
	lines.GroupByKey().Aggregate("counts", func() string { return "" }, func(_, v, all string) string { return all + v },
		fragile{codecs.String}).ToStream().To(s.out, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	s.send(t, "a", "b", "c", "!", "d", "e", "f")
	_, stop := s.start(t, top, s.config(t))
	s.await(t, 7)
	stop()
	require.Equal(t, []int64{3}, s.skippedOffsets())
	require.ErrorContains(t, s.mu.skipped[0].Err, "no exclamation marks")
	require.Equal(t, "counts", s.mu.skipped[0].Node)
	require.Equal(t, []string{"a", "ab", "abc", "abcd", "abcde", "abcdef"}, s.values(t, s.out))
}

// A change that is forwarded at the commit fails long after the record that led to it was processed.
func TestPolicy_skippingTheRecordThatFailsAtTheCommitIsExact(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := topology.NewBuilder(s.app, topology.OnProcessingFailure(topology.Skip()))
	topology.Source(b, s.in, codecs.String, codecs.String).ToTable("counts", codecs.String).EmitOnCommit().ToStream().
		MapValues(refuse, topology.Named("risky")).To(s.out, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	s.send(t, "a", "b", "c", "d", "e", "bad")
	_, stop := s.start(t, top, s.config(t))
	s.await(t, 6)
	stop()
	require.Equal(t, []int64{5}, s.skippedOffsets())
	require.Equal(t, "risky", s.mu.skipped[0].Node)
	values := s.values(t, s.out)
	require.Equal(t, "e", values[len(values)-1])
	require.True(t, slices.IsSorted(values), "%v", values)
}

func TestPolicy_retryThenSkip(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var tries atomic.Int64
	top := s.topology(t, func(v string) string {
		if v == "bad" {
			tries.Add(1)
		}
		return refuse(v)
	}, topology.OnProcessingFailure(topology.Retry(2).ThenSkip()))
	s.send(t, "a", "bad", "b")
	_, stop := s.start(t, top, s.config(t))
	s.await(t, 3)
	stop()
	s.requireOnly(t, []string{"a", "b"}, []int64{1})
	require.Equal(t, int64(3), tries.Load(), "the first try and two more")
	require.Equal(t, 2, s.mu.failures)
}

// A record that fails for a while succeeds in place, without a new session or takeover.
func TestPolicy_retryGoesOnInPlace(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var tries atomic.Int64
	top := s.topology(t, func(v string) string {
		if v == "bad" && tries.Add(1) <= 2 {
			panic("not yet")
		}
		return v
	})
	s.send(t, "a", "bad", "b")
	_, stop := s.start(t, top, s.config(t))
	s.await(t, 3)
	stop()
	s.requireOnly(t, []string{"a", "bad", "b"}, nil)
	require.Equal(t, 2, s.mu.failures)
	require.Equal(t, 1, strings.Count(s.log.String(), "to=restoring"))
}

func TestPolicy_stopNamesTheRecordAndTheRemedy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.send(t, "a", "bad")
	err := s.fail(t, s.topology(t, refuse, topology.OnProcessingFailure(topology.Stop())), s.config(t))
	require.ErrorContains(t, err, fmt.Sprintf("group %s-counts, partition 0", s.app))
	require.ErrorContains(t, err, fmt.Sprintf("process %s/0 offset 1", s.in))
	require.ErrorContains(t, err, `node "risky"`)
	require.ErrorContains(t, err, "panic: refused bad")
	require.ErrorContains(t, err, "topology.OnProcessingFailure")
	require.Equal(t, 1, s.mu.failures)

	s.mu.failures = 0
	err = s.fail(t, s.topology(t, refuse), s.config(t))
	require.ErrorContains(t, err, fmt.Sprintf("process %s/0 offset 1", s.in), "it was not passed over")
	require.Equal(t, 3, s.mu.failures, "the default: the first try and ProcessingRetries more")
}

func TestPolicy_aFailedProduceStopsWithItsRecord(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.alter(t, s.out, "max.message.bytes", "2000")
	s.send(t, "a", strings.Repeat("x", 3000))
	err := s.fail(t, s.topology(t, func(v string) string { return v }), s.config(t))
	require.ErrorContains(t, err, fmt.Sprintf("outputs of %s/0 offset 1: produce to %s/0: a record of ", s.in, s.out))
	require.ErrorContains(t, err, "raise max.message.bytes of the topic (2000)")
	require.ErrorContains(t, err, "topology.OnProduceFailure")
	require.Equal(t, 3, s.mu.failures)
}

// An output topic is deleted while the application writes to it: its records cannot be produced.
func TestPolicy_anOutputTopicThatIsGoneStopsOrIsSkipped(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.send(t, "a")
	_, stop := s.start(t, s.topology(t, refuse, topology.OnProduceFailure(topology.Retry(1).ThenSkip())), s.config(t))
	s.await(t, 1)
	s.remove(t, s.out)
	s.send(t, "b")
	s.await(t, 2)
	stop()
	require.Equal(t, []int64{1}, s.skippedOffsets())
	require.ErrorContains(t, s.mu.skipped[0].Err, "the topic was deleted: create it again")
	require.Equal(t, []string{"a"}, s.values(t, s.seen), "the other outputs of the record are taken back")
	require.Equal(t, int64(1), s.count(t))
}
