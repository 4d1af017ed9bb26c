package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/seed84377926/millrace/embedded"
	"github.com/seed84377926/millrace/internal/broker"
	"github.com/seed84377926/millrace/internal/brokertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call runs the command and returns its exit code and output.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// startBroker starts a broker in memory and returns its address and a client.
func startBroker(t *testing.T) (address string, client *broker.Client) {
	t.Helper()
	addrs := brokertest.Start(t, embedded.Config{}).Addrs()
	client, err := broker.Connect(t.Context(), broker.Config{Brokers: addrs})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return addrs[0], client
}

// startAirport fills a cluster with the topics and the group of an application called airport: events that the group
// has partly read, a table, a repartition topic and a live member.
func startAirport(t *testing.T) (address string) {
	t.Helper()
	address, client := startBroker(t)
	ctx, admin := t.Context(), client.Admin()

	day, compact := "86400000", "compact"
	for name, config := range map[string]map[string]*string{
		"airport.flight.events":       {"retention.ms": &day},
		"airport-delays-table":        {"cleanup.policy": &compact},
		"airport-carrier-repartition": nil,
		"airport-flight-state":        {"cleanup.policy": &compact},
		"airport-topology":            {"cleanup.policy": &compact},
		"harbour-ships-table":         {"cleanup.policy": &compact},
	} {
		_, err := admin.CreateTopic(ctx, 2, 1, config, name)
		require.NoError(t, err)
	}

	producer, err := kgo.NewClient(append(client.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	t.Cleanup(producer.Close)
	for n := range 7 {
		require.NoError(t, producer.ProduceSync(ctx, &kgo.Record{Topic: "airport.flight.events", Partition: int32(n % 2), Value: []byte("event")}).FirstErr())
	}

	joined := make(chan struct{}, 1)
	member, err := kgo.NewClient(append(client.Options(),
		kgo.ConsumerGroup("airport-delays"),
		kgo.ConsumeTopics("airport.flight.events"),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) {
			select {
			case joined <- struct{}{}:
			default:
			}
		}),
	)...)
	require.NoError(t, err)
	t.Cleanup(member.Close)
	select {
	case <-joined:
	case <-time.After(30 * time.Second):
		require.Fail(t, "the member never joined its group")
	}

	require.NoError(t, member.CommitRecords(ctx, &kgo.Record{Topic: "airport.flight.events", Partition: 0, Offset: 2, LeaderEpoch: -1}))
	return address
}

func TestTopics(t *testing.T) {
	t.Parallel()
	address := startAirport(t)

	code, stdout, stderr := call(t, "topics", "--brokers", address)
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, []string{
		"TOPIC PARTITIONS REPLICATION CLEANUP RETENTION OFFSETS SIZE",
		"airport-carrier-repartition 2 1 delete 7d 0 0 B",
		"airport-delays-table 2 1 compact last per key 0 0 B",
		"airport-flight-state 2 1 compact last per key 0 0 B",
		"airport-topology 2 1 compact last per key 0 0 B",
		"airport.flight.events 2 1 delete 1d 7 N B",
		"harbour-ships-table 2 1 compact last per key 0 0 B",
	}, squeeze(stdout))

	code, stdout, stderr = call(t, "topics", "--brokers", address, "--app", "airport", "-o", "json")
	require.Equal(t, exitOK, code, stderr)
	var list topicList
	require.NoError(t, json.Unmarshal([]byte(stdout), &list))
	require.NotEmpty(t, list.Cluster)
	require.Len(t, list.Topics, 5)
	events := list.Topics[4]
	require.Equal(t, "airport.flight.events", events.Name)
	require.Equal(t, int64(7), events.Offsets)
	require.Positive(t, events.Bytes)
	require.Equal(t, int64(4), events.Partitions[0].End)
	require.Equal(t, int64(3), events.Partitions[1].End)

	code, stdout, stderr = call(t, "topics", "--brokers", address, "--app", "railway", "-o", "json")
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stdout, `"topics": []`)
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	address := startAirport(t)

	code, stdout, stderr := call(t, "describe", "airport", "--brokers", address, "-o", "json")
	require.Equal(t, exitOK, code, stderr)
	var app application
	require.NoError(t, json.Unmarshal([]byte(stdout), &app))
	require.Equal(t, "airport", app.Name)
	require.Len(t, app.Groups, 1)
	delays := app.Groups[0]
	require.Equal(t, "airport-delays", delays.Name)
	require.Equal(t, "Stable", delays.State)
	require.Equal(t, int64(4), delays.Lag) // 1 of partition 0, all 3 of partition 1
	require.Len(t, delays.Members, 1)
	require.Equal(t, []topicPartition{{"airport.flight.events", 0}, {"airport.flight.events", 1}}, delays.Members[0].Assigned)
	require.Equal(t, groupPartition{
		topicPartition: topicPartition{"airport.flight.events", 0}, Committed: 3, End: 4, Lag: 1, Member: delays.Members[0].ID,
	}, delays.Partitions[0])
	require.Equal(t, groupPartition{
		topicPartition: topicPartition{"airport.flight.events", 1}, Committed: -1, End: 3, Lag: 3, Member: delays.Members[0].ID,
	}, delays.Partitions[1])
	roles := make(map[string]string)
	for _, topic := range app.Topics {
		roles[topic.Name] = topic.Role
	}
	require.Equal(t, map[string]string{
		"airport.flight.events":       roleInput,
		"airport-carrier-repartition": roleRepartition,
		"airport-delays-table":        roleTable,
		"airport-flight-state":        roleAggregate,
		"airport-topology":            roleTopology,
	}, roles)

	code, stdout, stderr = call(t, "describe", "airport", "--brokers", address)
	require.Equal(t, exitOK, code, stderr)
	lines := squeeze(stdout)
	require.Contains(t, lines, "airport-delays Stable 1 2 4")
	require.Contains(t, lines, "airport.flight.events input 2 delete 1d 7 N B")
	require.Contains(t, lines, "airport-delays-table table 2 compact last per key 0 0 B")
}

func TestDescribeUnknownApplication(t *testing.T) {
	t.Parallel()
	address := startAirport(t)
	code, stdout, stderr := call(t, "describe", "airprot", "--brokers", address)
	require.Equal(t, exitFailure, code)
	require.Empty(t, stdout)
	require.Equal(t, "millrace: describe \"airprot\": no group and no topic is named after this application on the cluster, which has groups airport-delays; give the part before the first group's own name\n", stderr)
}

func TestDescribeOnEmptyCluster(t *testing.T) {
	t.Parallel()
	address, _ := startBroker(t)
	code, _, stderr := call(t, "describe", "airport", "--brokers", address)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "which has no groups at all; is it the right one")
}

// A usage error prints the mistake and the usage, and exits with 2.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		wants []string
	}{
		{[]string{"topcis"}, []string{`there is no command "topcis"; did you mean topics?`, "Available Commands"}},
		{[]string{"topics", "--brokerz", "x"}, []string{"unknown flag: --brokerz", "millrace topics [flags]"}},
		{[]string{"topics", "airport"}, []string{`millrace topics takes no arguments, but was given ["airport"]`}},
		{[]string{"topics", "-o", "yaml"}, []string{`--output is "yaml"; give table or json`}},
		{[]string{"topics", "--timeout", "0s"}, []string{"--timeout is 0s; give a positive duration"}},
		{[]string{"topics", "--timeout", "fast"}, []string{`invalid argument "fast" for "--timeout"`}},
		{[]string{"topics", "--log-level", "loud"}, []string{`--log-level is "loud"; give debug, info, warn or error`}},
		{[]string{"describe"}, []string{"describe takes the name of one application", "millrace describe APP [flags]"}},
		{[]string{"describe", "a", "b"}, []string{`was given ["a" "b"]`}},
		{[]string{"dev", "--port", "70000"}, []string{"--port is 70000; give one from 1 to 65535, or 0 for any free one"}},
	} {
		code, stdout, stderr := call(t, c.args...)
		require.Equal(t, exitUsage, code, "%q", c.args)
		require.Empty(t, stdout, "%q", c.args)
		require.True(t, strings.HasPrefix(stderr, "millrace: "), stderr)
		require.Contains(t, stderr, "Usage:", "%q", c.args)
		for _, want := range c.wants {
			require.Contains(t, stderr, want, "%q", c.args)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := call(t)
	require.Equal(t, exitOK, code)
	require.Empty(t, stderr)
	for _, command := range []string{"dev", "topics", "describe", "version"} {
		require.Contains(t, stdout, "\n  "+command+" ")
	}
}

func TestNoBroker(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())

	code, stdout, stderr := call(t, "topics", "--brokers", address, "--timeout", "1s")
	require.Equal(t, exitFailure, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, address)
	require.Contains(t, stderr, "start Kafka there")
	require.Equal(t, 1, strings.Count(stderr, "\n"), "one mistake, one line: %s", stderr)
}

// --timeout ends a call of a server that accepts connections and never answers.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })

	code, _, stderr := call(t, "topics", "--brokers", listener.Addr().String(), "--timeout", "300ms")
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, "did not answer within 300ms")
	require.Contains(t, stderr, "--timeout gives it longer")
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr strings.Builder
	require.Equal(t, exitInterrupted, run(ctx, []string{"topics"}, io.Discard, &stderr))
	require.Equal(t, "millrace: interrupted\n", stderr.String())
}

// dev serves until it is stopped, and finds its data again at the next start.
func TestDev(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	topics := func(address string) string {
		code, stdout, stderr := call(t, "topics", "--brokers", address)
		require.Equal(t, exitOK, code, stderr)
		return stdout
	}
	withDev(t, dir, func(address string) {
		require.NotContains(t, topics(address), "kept")
		client, err := broker.Connect(t.Context(), broker.Config{Brokers: []string{address}})
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Admin().CreateTopic(t.Context(), 1, 1, nil, "kept")
		require.NoError(t, err)

		code, _, stderr := call(t, "dev", "--data", dir, "--port", "0")
		require.Equal(t, exitFailure, code)
		require.Contains(t, stderr, embedded.ErrLocked.Error())
	})
	withDev(t, dir, func(address string) { require.Contains(t, topics(address), "kept") })
}

// withDev runs `millrace dev` around fn.
func withDev(t *testing.T, dir string, fn func(address string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	var stderr strings.Builder
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"dev", "--data", dir, "--port", "0"}, writer, &stderr)
		writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err == nil {
		fn(strings.TrimSpace(line))
		cancel()
	}
	require.Equal(t, exitOK, <-ended, stderr.String())
	require.Contains(t, stderr.String(), "NOT FOR PRODUCTION")
	require.Contains(t, stderr.String(), dir)
	require.Contains(t, stderr.String(), "stopped")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	code, stdout, _ := call(t, "version")
	require.Equal(t, exitOK, code)
	require.Regexp(t, `^millrace \S+ \(go1\.\S+, \w+/\w+\)\n`, stdout)

	code, stdout, _ = call(t, "version", "-o", "json")
	require.Equal(t, exitOK, code)
	var v version
	require.NoError(t, json.Unmarshal([]byte(stdout), &v))
	require.NotEmpty(t, v.Go)
}

// A result that cannot be written is an error: if output is redirected to a full disk, the command must not succeed.
func TestPrintFails(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("needs /dev/full, which only Linux has: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, full.Close()) })
	var stderr strings.Builder
	require.Equal(t, exitFailure, run(t.Context(), []string{"version"}, full, &stderr))
	require.Contains(t, stderr.String(), "print the result")
}

// squeeze returns the lines of a table with single spaces. It replaces the sizes of stored records, which depend on the
// broker.
func squeeze(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		fields := strings.Fields(line)
		if n := len(fields); n > 2 && fields[n-1] == "B" && fields[n-2] != "0" {
			fields[n-2] = "N"
		}
		lines[i] = strings.Join(fields, " ")
	}
	return lines
}
