package processors

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The timestamp that a function of the topology gives a record decides which input is next, also after a rollback. Here
// the records of "a" are a second older than in Kafka, and a record at 13 has the partition time.
func TestInputs_mergesByTheTimestampsThatTheTopologyTells(t *testing.T) {
	m := newMerge(-1)
	a := m.inputs.all[0]
	a.time, a.stampedFrom = -1, -1
	a.stamp = func(rec *kgo.Record, partitionTime int64) int64 {
		if ts := rec.Timestamp.UnixMilli(); ts != 13 {
			return ts - 1000
		}
		return partitionTime
	}
	m.a.brings(0, 1010, 13, 1030, 1031)
	m.b.brings(0, 9, 10, 20, 30)
	m.inputs.limit = 3
	got, _ := m.next(t)
	require.Equal(t, []string{"b@9", "a@1010", "a@13"}, got)
	require.EqualValues(t, 10, a.time)
	m.inputs.committed()

	m.inputs.limit = 0
	var u unit
	_, err := m.inputs.next(t.Context(), &u)
	require.NoError(t, err)
	require.EqualValues(t, 31, a.time)
	m.inputs.putBack(u.records)
	require.EqualValues(t, 10, a.time, "as of the commit")
	got, _ = m.next(t)
	require.Equal(t, []string{"b@10", "b@20", "a@1030", "b@30", "a@1031"}, got)
}

// A record in microseconds is at the head of an input. By its time it would be the last of all, and the records after
// it would wait as long as the other input has any. The task refuses it, so it is taken at once.
func TestInputs_aTimeThatIsRefusedHoldsNothingBack(t *testing.T) {
	m := newMerge(-1)
	m.inputs.all[0].latest = func() int64 { return 1000 }
	m.a.brings(0, 10, 1001, 20)
	m.b.brings(0, 5, 15, 30, 40)
	got, _ := m.next(t)
	require.Equal(t, []string{"b@5", "a@10", "a@1001", "b@15", "a@20"}, got[:5])
}
