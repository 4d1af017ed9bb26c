package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// programVariable, set in the environment, makes the test binary run the program. Thus the end-to-end tests start and
// kill the same code, with the race detector if they have it.
const programVariable = "AIRPORT_TEST_RUNS_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}
