//go:build invariants

package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWriter_oneGoroutine(t *testing.T) {
	w := &Writer{cfg: WriterConfig{TransactionalID: "c.g.0"}}
	w.guard.Enter("I5", "the other goroutine")
	for _, f := range []func(){
		func() { _ = w.Begin() },
		func() { w.Send(nil, nil) },
		func() { _ = w.Commit(t.Context(), nil) },
	} {
		require.PanicsWithValue(t, "invariant I5 is violated: c.g.0 is used by two goroutines at once", f)
	}
}
