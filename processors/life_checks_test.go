//go:build invariants

package processors

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

// checkedLife returns a life whose commit is in order.
func checkedLife(t *testing.T) *life {
	t.Helper()
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	l := &life{table: &restoredTable{part: part}, progress: &progress{position: state.NewPosition()}, outcome: outcomeCommitted}
	l.changelogLast.Store(7)
	l.progress.position.Direct[state.TopicPartition{Topic: "flights"}] = 3
	l.batch.Set([]byte("store\x00key"), nil)
	l.batch.Set([]byte(state.PositionKey), nil)
	return l
}

// Each violation is made on purpose, and found.
func TestCheckCommit(t *testing.T) {
	require.NotPanics(t, checkedLife(t).checkCommit)
	for name, violate := range map[string]func(l *life){
		"I3: not confirmed": func(l *life) { l.outcome = outcomeUnknown },
		"I3: the state is ahead": func(l *life) {
			var b state.Batch
			b.SetOffset(7)
			require.NoError(t, l.table.part.Apply(&b))
		},
		"I6: another row is last": func(l *life) { l.batch.Set([]byte("store\x00late"), nil) },
		"I6: a position goes back": func(l *life) {
			l.checkCommit()
			l.progress.position.Direct[state.TopicPartition{Topic: "flights"}] = 2
		},
		"I6: stream time goes back": func(l *life) {
			l.progress.position.StreamTime = 9
			l.checkCommit()
			l.progress.position.StreamTime = 8
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := checkedLife(t)
			violate(l)
			defer func() { require.Contains(t, fmt.Sprint(recover()), "invariant "+name[:2]+" is violated") }()
			l.checkCommit()
		})
	}
}

func TestGuard_oneGoroutine(t *testing.T) {
	l := checkedLife(t)
	l.guard.Enter("I5", "the other goroutine")
	for _, f := range []func(){
		func() { _ = l.commit(t.Context(), nil) },
		func() { _ = l.betweenUnits(t.Context()) },
		func() { _ = l.process(nil) },
		func() { _ = l.rollBack(t.Context(), nil) },
	} {
		require.PanicsWithValue(t, "invariant I5 is violated: a task is used by two goroutines at once", f)
	}
}
