package processors

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Records arrive at an empty input while its end is read: the input has been fetched up to its end then, but those
// records must still be merged.
func TestInputs_recordsThatArriveWhileTheEndIsAskedForAreMerged(t *testing.T) {
	m := newMerge(0)
	m.a.brings(0, 10, 30)
	m.inputs.end = func(context.Context, string) (int64, error) {
		if m.b.fetched == 0 {
			m.b.brings(0, 20)
		}
		return 1, nil
	}
	got, _ := m.next(t)
	require.Equal(t, []string{"a@10", "b@20", "a@30"}, got)
}

// An input that was caught up may still get records that are older than a batch that another input brings later.
func TestInputs_aNewBatchHasTheOthersAskedAgain(t *testing.T) {
	m := newMerge(0)
	m.a.brings(0, 10)
	m.ends["a"] = 1
	got, _ := m.next(t)
	require.Equal(t, []string{"a@10"}, got)

	m.ends["b"] = 1 // written, not fetched yet
	m.a.brings(0, 30)
	got, wait := m.next(t)
	require.Empty(t, got)
	require.Positive(t, wait)
	m.b.brings(0, 20)
	got, _ = m.next(t)
	require.Equal(t, []string{"b@20", "a@30"}, got)
}
