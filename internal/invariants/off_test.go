//go:build !invariants

package invariants_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/invariants"
)

// Without the tag a check costs nothing and changes nothing.
func TestOff(t *testing.T) {
	var guard invariants.Guard
	require.Zero(t, unsafe.Sizeof(guard))
	guard.Enter("I5", "a store")
	guard.Enter("I5", "a store")
	guard.Exit()

	key := []byte("key")
	loan := invariants.Lend(key, nil)
	loan.End("ST6")
	invariants.Poison(key)
	require.Equal(t, "key", string(key))
	require.Zero(t, testing.AllocsPerRun(10, func() { invariants.Lend(key, key).End("ST6") }))
}
