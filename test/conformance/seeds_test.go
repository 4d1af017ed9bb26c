package conformance_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// seedVariable names the environment variable with the one seed to run with.
const seedVariable = "MILLRACE_SEED"

// seeds returns the seeds of a random test: 1 to n, or the one that was asked for.
func seeds(t *testing.T, n int) []uint64 {
	t.Helper()
	if s := os.Getenv(seedVariable); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, seedVariable)
		return []uint64{seed}
	}
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(i) + 1
	}
	return all
}
