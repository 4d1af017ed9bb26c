package processors

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestUnitSize_followsWhatTheOperatorsCost(t *testing.T) {
	s := newUnitSize(100 * time.Millisecond)
	process := func(cost time.Duration) int {
		n := s.limit
		s.record(n, time.Duration(n)*cost)
		return n
	}
	units := 0
	for process(time.Microsecond) < maxUnit {
		units++
	}
	require.Equal(t, 6, units, "doubled from 64 to 4096")

	n := process(10 * time.Millisecond)
	require.Equal(t, maxUnit, n, "nobody knew")
	require.Equal(t, 2, process(10*time.Millisecond), "25 ms of them, a quarter of the interval")
	require.Equal(t, 2, process(10*time.Millisecond))
	process(time.Hour)
	require.Equal(t, 1, process(time.Hour), "one record is the least")

	for range 20 {
		process(time.Microsecond)
	}
	require.Equal(t, maxUnit, s.limit, "slow operators are not held against the task for ever")
	s.record(1, time.Microsecond)
	require.Equal(t, maxUnit, s.limit)
	s.limit = firstUnit
	s.record(1, time.Microsecond)
	require.Equal(t, firstUnit, s.limit, "a unit that had room to spare proves nothing")
}

func TestUnitSize_aLongIntervalDoesNotMakeUnitsLong(t *testing.T) {
	s := newUnitSize(time.Minute)
	require.Equal(t, 50*time.Millisecond, s.target)
	s = newUnitSize(time.Nanosecond)
	require.Equal(t, time.Millisecond, s.target)
}
