package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// programVariable, set in the environment, makes the test binary be the program: what the end-to-end tests start and
// kill is the same code, built with the race detector if they are.
const programVariable = "AIRPORT_TEST_RUNS_THE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}
