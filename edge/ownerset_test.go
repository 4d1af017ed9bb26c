package edge

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The owners of an aggregate type follow their assignment.
func TestOwners_assign(t *testing.T) {
	logs := []*fakeLog{newFakeLog(), newFakeLog(), newFakeLog()}
	b := newBench(t, logs[0])
	set := newOwnerSet(b.owner.ownerConfig, 3, func(p int32) ledger { return fakeLedger{logs[p]} }, b.owner.engine)
	ctx := t.Context()
	require.NoError(t, set.ready(), "nothing is assigned, so nothing is missing")
	require.Nil(t, set.of(1))
	require.Equal(t, []int32{0, 1, 2}, set.everyPartition())

	set.assign(ctx, []int32{0, 1})
	require.Eventually(t, func() bool { return set.ready() == nil }, 10*time.Second, time.Millisecond)
	kept := set.of(0)
	set.assign(ctx, []int32{0, 2})
	require.Same(t, kept, set.of(0), "an owner that stays is not disturbed")
	require.Equal(t, 503, submitTo(b, set.of(1)).status)
	require.Eventually(t, func() bool { return submitTo(b, set.of(2)).status < 300 }, 10*time.Second, time.Millisecond)

	row, err := claim{Instance: "other"}.row()
	require.NoError(t, err)
	logs[0].set(func(l *fakeLog) { l.epoch++; l.lastClaim = row })
	require.Equal(t, 503, submitTo(b, kept).status)
	<-kept.done
	require.ErrorContains(t, set.ready(), "partition 0: fenced: ")
	set.assign(ctx, []int32{0, 1, 2})
	require.NotSame(t, kept, set.of(0), "assigned again, so it takes over again")
	require.Eventually(t, func() bool { return set.ready() == nil }, 10*time.Second, time.Millisecond)
	set.stop()
	require.True(t, set.wait(context.Background()))
	require.Error(t, set.ready())
}

func submitTo(b *bench, o *owner) *answer {
	p := b.command("a", "", "deposit", `{"amount":1}`)
	if problem := o.submit(p); problem != nil {
		return problem.answer(p.about)
	}
	return b.wait(p)
}
