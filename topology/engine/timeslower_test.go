package engine_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

func TestLowerTime(t *testing.T) {
	row := func(time int64, details ...byte) []byte {
		value, err := codecs.Int64.Append(nil, time)
		require.NoError(t, err)
		return state.AppendRowValue(nil, time, append(value, details...))
	}
	for _, c := range []struct {
		row, want []byte
		was       int64
	}{
		{row(5), row(5), 5},
		{row(10), row(10), 10},
		{row(11), row(10), 11},
		{row(engine.UnknownTime), row(engine.UnknownTime), engine.UnknownTime},
		{row(1<<50, 1, 2, 3), row(10), 1 << 50},
		{row(5, 1, 2, 3), row(5), 5}, // an origin may be later
	} {
		lowered, was, err := engine.LowerTime(c.row, 10)
		require.NoError(t, err)
		require.Equal(t, c.want, lowered)
		require.Equal(t, c.was, was)
	}
	_, _, err := engine.LowerTime(state.AppendRowValue(nil, 1, []byte("short")), 10)
	require.ErrorContains(t, err, "row of a stream time: it has 5 bytes")
}
