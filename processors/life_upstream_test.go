package processors

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
)

func TestOutdated(t *testing.T) {
	mark := state.Mark{Offsets: state.Offsets{tp("in", 0): 5, tp("in", 1): 3}}
	require.False(t, outdated(mark, state.Offsets{tp("in", 0): 5, tp("in", 1): 2, tp("in", 2): 9}, nil, 0))
	require.True(t, outdated(mark, state.Offsets{tp("in", 0): 6, tp("in", 1): 3}, nil, 0), "the source has more")
	require.True(t, outdated(mark, state.Offsets{tp("in", 0): 5}, nil, 0), "nobody knows where the source ends")
	direct := map[string]bool{"in": true, "new": true}
	ends := state.Offsets{tp("in", 0): 5, tp("in", 1): 3, tp("new", 0): 0, tp("new", 1): 1}
	require.False(t, outdated(mark, ends, direct, 0))
	require.True(t, outdated(mark, ends, direct, 1), "a topic that is newer than the mark")
	require.False(t, outdated(state.Mark{Time: -1}, nil, nil, 0), "no source leads there")
}

// A mark is taken as soon as it is the first record, although it has the time of the wall clock. It was once merged by
// that time: the other inputs were read to their ends before the records after the mark.
func TestInputs_marksAreTakenAtOnce(t *testing.T) {
	m := newMerge(0)
	m.inputs.all[0].repartition = true
	m.a.brings(0, 1, 1_000_000, 2)
	m.a.batches[0].Records[1].Headers = []kgo.RecordHeader{{Key: markHeader}}
	m.b.brings(0, 1, 2, 3)
	m.ends["a"], m.ends["b"] = 3, 3
	got, _ := m.next(t)
	require.Equal(t, []string{"a@1", "a@1000000", "b@1", "a@2", "b@2", "b@3"}, got)
}

func TestMarks_time(t *testing.T) {
	for _, at := range []int64{-1, 0, 1_700_000_000_000, state.IdleTime} {
		got, ok := markTime(markRecords("t", 1, 3, mark{time: at})[0])
		require.True(t, ok)
		require.Equal(t, at, got)
	}
	_, ok := markTime(&kgo.Record{Headers: []kgo.RecordHeader{{Key: markHeader}}})
	require.False(t, ok, "an older version wrote it")
}

// How far the origins have come is part of the position, but not that one of them is idle.
func TestProgress_timesAreRestored(t *testing.T) {
	plans := planned(t, map[string]int32{"events": 2}, func(b *topology.Builder) {
		stream := topology.Source(b, "events", codecs.String, codecs.String).Rekey(func(k, _ string) string { return k })
		stream.Repartition("again", codecs.String, codecs.String).GroupByKey().WindowedBy(topology.Tumbling(time.Second)).Count("counts")
	})
	plan := plans["counts"]
	const again = "app-again-repartition"
	position := state.NewPosition()
	position.StreamTime, position.Largest, position.DirectSeen = 10, 14, 11
	position.Senders[state.Sender{Topic: again}] = state.Mark{Time: 12}
	position.Senders[state.Sender{Topic: again, Partition: 1}] = state.Mark{Time: state.IdleTime}
	p := newProgress(plan, 0, position)
	times := make(map[string][2]int64)
	for _, o := range p.restoredTimes() {
		times[fmt.Sprintf("%d%s", o.Partition, o.Topic)] = [2]int64{o.Told, o.Seen}
	}
	require.Equal(t, map[string][2]int64{"0": {-1, 11}, "0" + again: {12, -1}, "1" + again: {-1, -1}}, times)
}
