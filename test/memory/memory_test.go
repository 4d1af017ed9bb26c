//go:build linux

package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/brokertest"
)

// TestMain is also the process that is measured: the orchestrator starts its own binary, which here is the test.
func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "--worker") {
		os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// run runs the command on a broker of its own and returns its exit code and output.
func run(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	broker := brokertest.Start(t, embedded.Config{Dir: t.TempDir(), NoSync: true})
	var stdout, stderr bytes.Buffer
	code = command(append([]string{
		"--brokers", strings.Join(broker.Addrs(), ","), "--dir", t.TempDir(), "--timeout", "100s",
	}, args...), &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// The suite at a size that takes seconds. A test binary is larger than the program, so that the budget is generous.
func TestMemory_short(t *testing.T) {
	code, out := run(t, "--keys", "20000", "--budget", "512", "--restore")
	require.Zero(t, code, out)
	require.Regexp(t, `(?m)^keys=20000 records=24000 wrong=0 samples=\d+ mean=\d+$`, out)
	require.Regexp(t, `(?m)^rss peak=\d+ budget=512 ratio=0\.\d\d$`, out)
}

// A budget that cannot hold shows that the check can fail; every key is right all the same.
func TestMemory_overBudget(t *testing.T) {
	code, out := run(t, "--keys", "20000", "--updates", "0", "--budget", "8")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "wrong=0")
	require.Contains(t, out, "more than 1.25")
}
