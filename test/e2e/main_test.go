package e2e

import (
	"os"
	"testing"
)

// The test binary is also the process that the restore tests kill.
func TestMain(m *testing.M) {
	if config := os.Getenv(restoredChild); config != "" {
		runRestoredChild(config)
		return
	}
	os.Exit(m.Run())
}
