//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain also runs the worker and the broker: the orchestrator starts its own binary, which here is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == workerCommand || os.Args[1] == brokerCommand) {
		os.Exit(command(os.Args[1:], os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m)
}

// shortOptions are a run of about half a minute: a number of faults instead of a time.
func shortOptions(t *testing.T) options {
	return options{
		seed: 1, faults: 12, duration: time.Minute, instances: 3, standbys: 1, static: 1, rate: 400, broker: embeddedBroker,
		sessionTimeout: 2 * time.Second, settle: 90 * time.Second, dir: t.TempDir(),
	}
}

// crash runs the suite and returns what it printed, and its last line as numbers.
func crash(t *testing.T, o options) (map[string]int, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out bytes.Buffer
	err := orchestrate(ctx, o, &out)
	lines := regexp.MustCompile(`(?m)^kills=(\d+) stalls=(\d+) commits=(\d+) keys=(\d+) wrong=(\d+)\n\z`).FindStringSubmatch(out.String())
	last := make(map[string]int)
	if lines != nil {
		for i, name := range []string{"kills", "stalls", "commits", "keys", "wrong"} {
			n, err := strconv.Atoi(lines[i+1])
			require.NoError(t, err)
			last[name] = n
		}
	}
	return last, out.String(), err
}

func TestCrash_short(t *testing.T) {
	last, out, err := crash(t, shortOptions(t))
	t.Log(out)
	require.NoError(t, err)
	require.GreaterOrEqual(t, last["kills"]+last["stalls"], 12)
	require.Positive(t, last["commits"])
	require.Positive(t, last["keys"])
	require.Zero(t, last["wrong"])
}

func TestCrash_kafka(t *testing.T) {
	kafka := os.Getenv("MILLRACE_KAFKA")
	if kafka == "" {
		t.Skip("needs a real Apache Kafka: export MILLRACE_KAFKA=$(test/kafka/kafka.sh start DIR PORT)")
	}
	for name, atLeastOnce := range map[string]bool{"exactly once": false, "at least once": true} {
		t.Run(name, func(t *testing.T) {
			o := shortOptions(t)
			o.broker, o.atLeastOnce = kafka, atLeastOnce
			last, out, err := crash(t, o)
			t.Log(out)
			require.NoError(t, err)
			require.Zero(t, last["wrong"])
		})
	}
}

func TestParse_rejectsWhatCannotBe(t *testing.T) {
	for arg, want := range map[string]string{
		"x":                        `unexpected argument "x"`,
		"--instances=0":            "--instances must be at least 1",
		"--rate=0":                 "--rate must be at least 1",
		"--standbys=-1":            "--standbys must not be negative",
		"--static=4":               "--static must be between 0 and the number of instances",
		"--broker-kill-cmd=true":   "go together",
		"--broker-start-cmd=false": "go together",
	} {
		_, err := parse([]string{arg}, &bytes.Buffer{})
		require.ErrorContains(t, err, want)
	}
	_, err := parse([]string{"--broker-kill-cmd=a", "--broker-start-cmd=b"}, &bytes.Buffer{})
	require.ErrorContains(t, err, "killed anyway")
}

func TestParseFault(t *testing.T) {
	point, act, hit, err := parseFault("commit.begin:7:stop")
	require.NoError(t, err)
	require.Equal(t, "commit.begin", point)
	require.Equal(t, actStop, act)
	require.Equal(t, int64(7), hit)
	for _, bad := range []string{"a", "a:b:kill", "a:1:explode"} {
		_, _, _, err := parseFault(bad)
		require.ErrorContains(t, err, "want point:hit:kill")
	}
}
