package invariants_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/invariants"
)

func TestViolated(t *testing.T) {
	require.PanicsWithValue(t, "invariant ST2 is violated: store \"flights\" evicts a dirty row",
		func() { invariants.Violated("ST2", "store %q evicts a dirty row", "flights") })
}
