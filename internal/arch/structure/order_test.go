package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func arrows(pairs ...string) []arrow {
	var all []arrow
	for _, pair := range pairs {
		all = append(all, arrow{pair[:1], pair[1:]})
	}
	return all
}

func TestRunUp(t *testing.T) {
	require.Empty(t, runUp(arrows("ab", "bc", "ac", "de")), "there is an order without")
	require.Len(t, runUp(arrows("ab", "bc", "ca")), 1, "a circle has one")
	require.Equal(t, arrows("ea"), runUp(arrows("ab", "ac", "ad", "be", "ce", "de", "ea")), "one breaks three circles")
	require.Len(t, runUp(arrows("ab", "ba", "cd", "dc")), 2, "two circles have two")
}

func TestFolder(t *testing.T) {
	require.Equal(t, "topology", folder("topology/topologytest"))
	require.Equal(t, "internal/broker", folder("internal/broker"))
	require.Equal(t, "test/e2e", folder("test/e2e"))
	require.Equal(t, "edge", folder("edge"))
}

// TestLoad measures a small module of two packages.
func TestLoad(t *testing.T) {
	packages, err := load(t.Context(), "testdata/module")
	require.NoError(t, err)
	require.Len(t, packages, 2)
	upper, lower := packages[1], packages[0]
	require.Equal(t, "lower", lower.path)
	require.Equal(t, "2\t15\t2\t1\t2\t1", lower.measure().String(), "each file uses the other one")
	require.Equal(t, "1\t6\t1\t0\t0\t0", upper.measure().String())
	require.Equal(t, []arrow{{"upper", "lower"}}, folderImports(packages))
}
