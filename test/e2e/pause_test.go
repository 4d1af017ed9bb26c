package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/processors"
)

// taskState waits until the only task of the only group is in the state.
func requireTaskState(t *testing.T, app *processors.App, state string) {
	t.Helper()
	require.Eventually(t, func() bool {
		groups := app.Info(t.Context()).Groups
		return len(groups) == 1 && len(groups[0].Tasks) == 1 && groups[0].Tasks[0].State == state
	}, waitLong, tick)
}

// A paused application commits, keeps its partitions and goes on where it was.
func TestPause_commitsAndGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	app, stop := s.start(t, s.topology(t, same), s.config(t))
	s.send(t, "a", "b")
	s.await(t, 2)
	require.False(t, app.Paused())

	require.NoError(t, app.Pause())
	requireTaskState(t, app, "paused")
	require.Equal(t, processors.Running, app.State())
	info := app.Info(t.Context())
	require.True(t, info.Paused)
	require.True(t, info.Groups[0].Paused)
	require.Len(t, info.Groups[0].Members, 1, "it is still a member")
	processed := app.Processed()
	s.send(t, "c", "d")
	require.Equal(t, int64(2), s.committed(t), "what was processed is committed")

	require.NoError(t, app.Resume())
	s.await(t, 4)
	require.Equal(t, processed+2, app.Processed())
	require.False(t, app.Info(t.Context()).Paused)
	stop()
	s.requireOnly(t, []string{"a", "b", "c", "d"}, nil)
}

// A pause commits the open transaction first, however long the commit interval is.
func TestPause_commitsWhatIsOpen(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.config(t)
	cfg.CommitInterval = waitLong
	app, stop := s.start(t, s.topology(t, same), cfg)
	s.send(t, "a", "b")
	require.Eventually(t, func() bool { return app.Processed() == 2 }, waitLong, tick)
	require.NoError(t, app.Pause(s.group))
	s.await(t, 2)
	stop() // while paused
	s.requireOnly(t, []string{"a", "b"}, nil)
}

// An application that is paused before it starts restores its tasks and waits.
func TestPause_beforeTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.send(t, "a")
	app, err := processors.New(s.topology(t, same), s.config(t))
	require.NoError(t, err)
	require.NoError(t, app.Pause())
	stop := inBackground(t, app.Run)
	requireTaskState(t, app, "paused")
	require.Equal(t, processors.Running, app.State())
	require.Zero(t, app.Processed())
	require.NoError(t, app.Resume(s.group))
	s.await(t, 1)
	stop()
}

func TestPause_unknownGroupIsAnError(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	app, err := processors.New(s.topology(t, same), s.config(t))
	require.NoError(t, err)
	require.ErrorContains(t, app.Pause(s.group, "nonsense"), `no group "nonsense"; this application has `+s.group)
	require.False(t, app.Paused(), "nothing was paused")
}
