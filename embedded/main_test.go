package embedded_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The test binary is also the broker process that the crash tests kill: with childDir in its environment it serves that
// directory instead of testing.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		serveChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}
