package state_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory_conforms(t *testing.T) {
	statetest.Run(t, func(*testing.T) state.Engine { return state.NewMemory() })
}
