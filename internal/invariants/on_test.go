//go:build invariants

package invariants_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/invariants"
)

func TestGuard(t *testing.T) {
	var guard invariants.Guard
	for range 2 {
		guard.Enter("I5", "a store")
		require.PanicsWithValue(t, "invariant I5 is violated: a store is used by two goroutines at once",
			func() { guard.Enter("I5", "a store") })
		guard.Exit()
	}
}

func TestLoan(t *testing.T) {
	key, value := []byte("key"), []byte("value")
	loan := invariants.Lend(key, value)
	require.Equal(t, []string{"key", "value"}, []string{string(loan.Key), string(loan.Value)})
	loan.End("ST6")
	require.Equal(t, "\xdb\xdb\xdb", string(loan.Key), "a key that is kept beyond the loan")
	require.Equal(t, []string{"key", "value"}, []string{string(key), string(value)})

	loan = invariants.Lend(key, value)
	loan.Value[0] = 'V'
	require.PanicsWithValue(t, `invariant ST6 is violated: the borrower of row "key" has changed its key or value`, func() { loan.End("ST6") })

	empty := invariants.Lend(nil, []byte{})
	require.Nil(t, empty.Key)
	require.NotNil(t, empty.Value)
}

func TestPoison(t *testing.T) {
	memory := []byte("rows")
	invariants.Poison(memory)
	require.Equal(t, "\xdb\xdb\xdb\xdb", string(memory))
}
