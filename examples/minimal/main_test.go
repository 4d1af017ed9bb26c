package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func TestTopology(t *testing.T) {
	top, err := newTopology()
	require.NoError(t, err)
	d := topologytest.NewDriver(t, top)
	lines := topologytest.Input(d, "lines", codecs.String, codecs.String)
	counts := topologytest.Output(d, "counts", codecs.String, codecs.Int64)

	lines.Pipe("", "The mill and the race", 1)
	lines.Pipe("", "the race", 2)

	last := make(map[string]int64)
	for _, r := range counts.Drain() {
		last[r.Key] = r.Value
	}
	require.Equal(t, map[string]int64{"the": 3, "mill": 1, "and": 1, "race": 2}, last)
}

func TestRun_withoutBrokers(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), ""), "BROKERS is empty")
}
