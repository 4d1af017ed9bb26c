package processors

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClockWatch(t *testing.T) {
	var log logged
	var watch clockWatch
	wall, up := time.Now(), time.Duration(0)
	pass := func(d, step time.Duration) []map[string]any {
		wall, up = wall.Add(d+step), up+d
		watch.look(slog.New(&log), wall, up)
		return log.take()
	}
	require.Empty(t, pass(0, 0))
	require.Empty(t, pass(5*time.Second, 0))
	require.Empty(t, pass(5*time.Second, 900*time.Millisecond), "what NTP does all the time")
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		lines := pass(5*time.Second, step)
		require.Len(t, lines, 1)
		require.Equal(t, slog.LevelWarn, lines[0]["level"])
		require.Equal(t, step, lines[0]["by"])
		require.Empty(t, pass(5*time.Second, 0), "once")
	}
}
