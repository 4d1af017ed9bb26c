package processors_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Every goroutine of the runtime has ended when the last test has.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}
