package processors

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/internal/broker"
)

// scriptedFeed is an input partition whose log the test writes.
type scriptedFeed struct {
	batches []broker.Batch
	fetched int64
	err     error
	closed  bool
}

func (f *scriptedFeed) Take() (broker.Batch, bool, error) {
	if len(f.batches) == 0 {
		return broker.Batch{}, false, f.err
	}
	batch := f.batches[0]
	f.batches = f.batches[1:]
	return batch, true, nil
}

func (f *scriptedFeed) Fetched() int64 { return f.fetched }
func (f *scriptedFeed) Close()         { f.closed = true }

// brings appends a batch with records of the given timestamps, followed by markers.
func (f *scriptedFeed) brings(markers int64, timestamps ...int64) {
	var batch broker.Batch
	for _, ts := range timestamps {
		batch.Records = append(batch.Records, &kgo.Record{Offset: f.fetched, Timestamp: time.UnixMilli(ts)})
		f.fetched++
	}
	f.fetched += markers
	batch.Next = f.fetched
	f.batches = append(f.batches, batch)
}

// merge is a fixture of two inputs, "a" and "b", with logs that end at ends.
type merge struct {
	a, b   scriptedFeed
	ends   map[string]int64
	asked  int
	clock  time.Time
	inputs *inputs
}

func newMerge(maxIdle time.Duration) *merge {
	m := &merge{ends: map[string]int64{}, clock: time.UnixMilli(0)}
	m.inputs = &inputs{
		all:     []*input{{topic: "a", feed: &m.a}, {index: 1, topic: "b", feed: &m.b}},
		maxIdle: maxIdle,
		end:     func(_ context.Context, topic string) (int64, error) { m.asked++; return m.ends[topic], nil },
		now:     func() time.Time { return m.clock },
	}
	return m
}

// next returns the merged unit as "input@timestamp" and the wait.
func (m *merge) next(t *testing.T) ([]string, time.Duration) {
	t.Helper()
	var u unit
	wait, err := m.inputs.next(t.Context(), &u)
	require.NoError(t, err)
	var got []string
	for _, r := range u.records {
		got = append(got, fmt.Sprintf("%s@%d", m.inputs.all[r.input].topic, r.record.Timestamp.UnixMilli()))
	}
	return got, wait
}

// The smallest timestamp of the heads comes first; a head that is out of order holds back the records after it.
func TestInputs_mergesByTheTimestampOfTheHeads(t *testing.T) {
	m := newMerge(0)
	m.a.brings(1, 10, 30, 20)
	m.b.brings(1, 15, 25, 40)
	m.ends["a"], m.ends["b"] = m.a.fetched, m.b.fetched
	got, _ := m.next(t)
	require.Equal(t, []string{"a@10", "b@15", "b@25", "a@30", "a@20", "b@40"}, got)
	require.Equal(t, int64(4), m.inputs.all[0].next, "the position is after the marker")
	require.Equal(t, int64(4), m.inputs.all[1].next)
}

func TestInputs_tieGoesToTheInputNamedFirst(t *testing.T) {
	m := newMerge(0)
	m.a.brings(0, 10)
	m.b.brings(0, 10)
	m.ends["a"], m.ends["b"] = 1, 1
	got, _ := m.next(t)
	require.Equal(t, []string{"a@10", "b@10"}, got)
}

// While an input is empty and not known to be caught up, nothing is chosen, for however long.
func TestInputs_waitsForAnInputThatLags(t *testing.T) {
	m := newMerge(0)
	m.a.brings(0, 10, 20)
	m.ends["a"], m.ends["b"] = 2, 1 // b has a record that was not fetched yet
	got, wait := m.next(t)
	require.Empty(t, got)
	require.Positive(t, wait, "asks again even if nothing arrives")

	m.b.brings(0, 15)
	got, _ = m.next(t)
	require.Equal(t, []string{"a@10", "b@15", "a@20"}, got)
}

func TestInputs_goesOnWithoutAnInputThatIsCaughtUp(t *testing.T) {
	m := newMerge(0)
	m.a.brings(0, 10, 20)
	got, _ := m.next(t)
	require.Equal(t, []string{"a@10", "a@20"}, got)
	require.Equal(t, 1, m.asked, "the end is asked for once, not for every record")

	m.a.brings(0, 30)
	got, _ = m.next(t)
	require.Equal(t, []string{"a@30"}, got)
	require.Equal(t, 2, m.asked, "once more for a batch that is newer than the answer")
}

// An empty input that is caught up is waited for no longer than the idle time; data cancels the wait.
func TestInputs_idleTimeBoundsTheWait(t *testing.T) {
	m := newMerge(100 * time.Millisecond)
	m.a.brings(0, 10)
	got, wait := m.next(t)
	require.Empty(t, got)
	require.Equal(t, 100*time.Millisecond, wait)

	m.clock = m.clock.Add(60 * time.Millisecond)
	_, wait = m.next(t)
	require.Equal(t, 40*time.Millisecond, wait)

	m.b.brings(0, 5)
	m.ends["b"] = 1
	got, wait = m.next(t)
	require.Equal(t, []string{"b@5"}, got)
	require.Equal(t, 100*time.Millisecond, wait, "the timer starts again")

	m.clock = m.clock.Add(100 * time.Millisecond)
	got, _ = m.next(t)
	require.Equal(t, []string{"a@10"}, got)
}

func TestInputs_negativeIdleTimeNeverWaits(t *testing.T) {
	m := newMerge(-1)
	m.a.brings(0, 10)
	m.ends["b"] = 99
	got, _ := m.next(t)
	require.Equal(t, []string{"a@10"}, got)
	require.Zero(t, m.asked)
}

func TestInputs_unitsAreBounded(t *testing.T) {
	m := newMerge(0)
	m.a.brings(0, make([]int64, maxUnit+1)...)
	got, _ := m.next(t)
	require.Len(t, got, maxUnit)
	got, _ = m.next(t)
	require.Len(t, got, 1)
}

func TestInputs_brokenFeedIsAnError(t *testing.T) {
	m := newMerge(0)
	m.b.err = errors.New("offset out of range")
	var u unit
	_, err := m.inputs.next(t.Context(), &u)
	require.ErrorContains(t, err, "offset out of range")
	m.inputs.close()
	require.True(t, m.a.closed && m.b.closed)
}

// Records that are too far ahead of the slowest task of the group are not taken yet (Config.AlignWithin).
func TestInputs_waitForTheSlowestTask(t *testing.T) {
	m := newMerge(0)
	m.a.brings(0, 1, 5, 9)
	m.b.brings(0, 3, 4, 20)
	m.ends["a"], m.ends["b"] = 3, 3
	m.inputs.bound, m.inputs.slowest = 5, 2
	got, wait := m.next(t)
	require.Equal(t, []string{"a@1", "b@3", "b@4", "a@5"}, got)
	require.Zero(t, wait)
	got, wait = m.next(t)
	require.Empty(t, got)
	require.Equal(t, alignAgain, wait)
	require.Contains(t, m.inputs.waitsFor, "the task of partition 2")
	m.inputs.bound = 10
	got, _ = m.next(t)
	require.Equal(t, []string{"a@9"}, got)
	m.inputs.bound = 0
	got, _ = m.next(t)
	require.Equal(t, []string{"b@20"}, got)
}
