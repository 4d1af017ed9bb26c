package processors

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/broker"
)

// Records that are put back come again, before records that were not taken yet. Positions are again as of the last
// commit.
func TestInputs_putBackTakesAllSinceTheCommitAgain(t *testing.T) {
	m := newMerge(-1)
	m.a.brings(1, 10, 30)
	got, _ := m.next(t)
	require.Equal(t, []string{"a@10", "a@30"}, got)
	m.inputs.committed()

	m.a.brings(0, 40, 60)
	m.a.brings(2, 70)
	m.b.brings(1, 50)
	m.inputs.limit = 3
	var u unit
	_, err := m.inputs.next(t.Context(), &u)
	require.NoError(t, err)
	require.Len(t, u.records, 3)
	require.NotEqual(t, int64(3), m.inputs.all[0].next)

	m.inputs.putBack(u.records)
	require.Equal(t, int64(3), m.inputs.all[0].next, "after the marker of the first batch")
	require.Zero(t, m.inputs.all[1].next)
	m.inputs.limit = 0
	got, _ = m.next(t)
	require.Equal(t, []string{"a@40", "b@50", "a@60", "a@70"}, got)
	require.Equal(t, int64(8), m.inputs.all[0].next, "after all markers")
	require.Equal(t, int64(2), m.inputs.all[1].next)
}

func TestInputs_restartReadsAgainFromTheCommit(t *testing.T) {
	m := newMerge(-1)
	m.a.brings(0, 10)
	got, _ := m.next(t)
	require.Equal(t, []string{"a@10"}, got)
	m.inputs.committed()
	m.a.brings(0, 20)
	_, _ = m.next(t)

	from := make(map[string]int64)
	var again scriptedFeed
	again.fetched = 1
	again.brings(0, 20, 30)
	m.inputs.restart(func(in *input) feed {
		from[in.topic] = in.from
		if in.topic == "a" {
			return &again
		}
		return &scriptedFeed{}
	})
	require.Equal(t, map[string]int64{"a": 1, "b": 0}, from)
	require.True(t, m.a.closed)
	require.True(t, m.b.closed)
	got, _ = m.next(t)
	require.Equal(t, []string{"a@20", "a@30"}, got)
	require.Equal(t, broker.Batch{Next: 3}.Next, m.inputs.all[0].next)
}

// The bisection halves transactions after a failure, and lets them grow again after a commit, until it is past the
// records of the transaction that failed first.
func TestBisection_endsAfterTheFailure(t *testing.T) {
	in := &input{topic: "a"}
	b := bisection{limit: 4, until: map[string]int64{"a": 10}}
	b.grow()
	in.from = 4
	b.passed([]*input{in})
	require.Equal(t, 8, b.limit)
	b.limit = maxUnit
	b.grow()
	require.Equal(t, maxUnit, b.limit, "never more than a unit")
	in.from = 10
	b.passed([]*input{in})
	require.Zero(t, b.limit)
	b.grow()
	require.Zero(t, b.limit)
}
