package fault_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/internal/fault"
)

func TestFaults_nothingHappensUntilInstalled(t *testing.T) {
	fault.Point("anywhere")
	require.Equal(t, "id", fault.TransactionalID("id"))

	var hit []string
	fault.Install(&fault.Faults{Point: func(name string) { hit = append(hit, name) }})
	defer fault.Install(nil)
	fault.Point("here")
	require.Equal(t, []string{"here"}, hit)
	require.Equal(t, "id", fault.TransactionalID("id"), "a nil function changes nothing")

	fault.Install(&fault.Faults{TransactionalID: func(id string) string { return id + "-1" }})
	fault.Point("there")
	require.Equal(t, "id-1", fault.TransactionalID("id"))

	fault.Install(nil)
	fault.Point("here")
	require.Equal(t, []string{"here"}, hit)
}

func BenchmarkPoint_disabled(b *testing.B) {
	for b.Loop() {
		fault.Point("somewhere")
	}
}
