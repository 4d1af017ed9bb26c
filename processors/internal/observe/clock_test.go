package observe_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/processors/internal/observe"
)

func TestClock_timeUnderWayCounts(t *testing.T) {
	var c observe.Clock[observe.Activity]
	at := time.Unix(0, 0)
	c.Enter(observe.ActivityWait, at)
	c.Enter(observe.ActivityCommit, at.Add(time.Second))
	_, since, spent := c.Read(at.Add(4 * time.Second))
	require.Equal(t, at.Add(time.Second), since)
	require.Equal(t, time.Second, spent[observe.ActivityWait])
	require.Equal(t, 3*time.Second, spent[observe.ActivityCommit])
	c.Stop(at.Add(5 * time.Second))
	_, _, spent = c.Read(at.Add(time.Hour))
	require.Equal(t, 4*time.Second, spent[observe.ActivityCommit])
}
