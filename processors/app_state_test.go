package processors

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLifecycle_onlyLegalChangesHappenAndAreTold(t *testing.T) {
	type change struct{ from, to State }
	var told []change
	l := stateMachine{changed: func(from, to State) { told = append(told, change{from, to}) }}

	require.True(t, l.enter(Starting))
	require.False(t, l.enter(Running), "not before the groups are joined")
	require.True(t, l.enter(Rebalancing))
	require.False(t, l.enter(Rebalancing), "to stay is no change")
	require.True(t, l.enter(Restoring))
	require.True(t, l.enter(Running))
	require.False(t, l.enter(Restoring), "a task is taken over before it is restored")
	require.True(t, l.enter(Rebalancing))
	require.True(t, l.enter(Draining))
	require.False(t, l.enter(Running), "a draining application does not come back")
	require.True(t, l.enter(Closed))
	for s := Created; s <= Failed; s++ {
		require.False(t, l.enter(s), "closed is the end")
	}
	require.Equal(t, []change{
		{Created, Starting}, {Starting, Rebalancing}, {Rebalancing, Restoring}, {Restoring, Running}, {Running, Rebalancing}, {Rebalancing, Draining}, {Draining, Closed},
	}, told)
}

func TestState_String(t *testing.T) {
	require.Equal(t, "rebalancing", Rebalancing.String())
	require.Equal(t, "state 99", State(99).String())
}
