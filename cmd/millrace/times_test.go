package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/internal/brokertest"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
)

const noon = "2026-11-30T12:00:00Z"

// timesRow is a row of a stream time as a task writes it.
func timesRow(t *testing.T, topic, name string, at int64) *kgo.Record {
	t.Helper()
	value, err := codecs.Int64.Append(nil, at)
	require.NoError(t, err)
	return &kgo.Record{
		Topic: topic, Key: state.AppendRowKey(nil, engine.TimesStore, []byte(name)), Value: state.AppendRowValue(nil, at, value),
	}
}

// startAhead fills a cluster with the changelog of an application that has read a record of the year 2200, of another
// one whose name begins with that of the first, and of a group that has never committed.
func startAhead(t *testing.T) (address string, admin func(string) []*kgo.Record, noonMS, ahead int64) {
	t.Helper()
	address, client := startBroker(t)
	compact := "compact"
	for name, partitions := range map[string]int32{
		"air-topology": 1, "air-hourly-table": 2, "air-cargo-topology": 1, "air-cargo-hourly-table": 1,
	} {
		_, err := client.Admin().CreateTopic(t.Context(), partitions, 1, map[string]*string{"cleanup.policy": &compact}, name)
		require.NoError(t, err)
	}
	at, err := time.Parse(time.RFC3339, noon)
	require.NoError(t, err)
	noonMS, ahead = at.UnixMilli(), at.AddDate(174, 0, 0).UnixMilli()
	position := state.NewPosition()
	position.StreamTime = ahead
	position.Direct[state.TopicPartition{Topic: "flights", Partition: 0}] = 7
	producer := brokertest.NewKafka(t, []string{address})
	for _, table := range []string{"air-hourly-table", "air-cargo-hourly-table"} {
		require.NoError(t, producer.ProduceSync(t.Context(),
			timesRow(t, table, "hourly", 5),
			timesRow(t, table, "gone", ahead),
			&kgo.Record{Topic: table, Key: state.AppendRowKey(nil, engine.TimesStore, []byte("gone"))},
			&kgo.Record{Topic: table, Key: state.AppendRowKey(nil, "hourly", []byte("KL")), Value: []byte("a row of another store")},
			timesRow(t, table, "daily", noonMS-1),
			timesRow(t, table, "hourly", ahead),
			&kgo.Record{Topic: table, Key: []byte(state.PositionKey), Value: position.Append(nil)},
		).FirstErr())
	}
	return address, func(topic string) []*kgo.Record { return brokertest.Records(t, []string{address}, topic)[0] }, noonMS, ahead
}

func TestTimes_set(t *testing.T) {
	t.Parallel()
	address, records, at, ahead := startAhead(t)
	before := len(records("air-hourly-table"))

	code, stdout, stderr := call(t, "times", "show", "air", "--brokers", address)
	require.Equal(t, exitOK, code, stderr)
	require.Equal(t, []string{
		"GROUP PARTITION OF TIME SET TO",
		"air-hourly 0 (task) 2200-11-30T12:00:00.000Z",
		"air-hourly 0 daily 2026-11-30T11:59:59.999Z",
		"air-hourly 0 hourly 2200-11-30T12:00:00.000Z",
	}, squeeze(stdout))

	code, stdout, stderr = call(t, "times", "set", "air", "--to", noon, "--dry-run", "--brokers", address)
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, squeeze(stdout), "air-hourly 0 hourly 2200-11-30T12:00:00.000Z 2026-11-30T12:00:00.000Z")
	require.Contains(t, stdout, "2 of 3 times would be set.")
	require.Len(t, records("air-hourly-table"), before, "nothing is written")

	code, stdout, stderr = call(t, "times", "set", "air", "--to", noon, "--brokers", address, "-o", "json")
	require.Equal(t, exitOK, code, stderr)
	var result applicationTimes
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	require.Equal(t, []streamTime{
		{Group: "air-hourly", Time: ahead, Set: true},
		{Group: "air-hourly", Name: "daily", Time: at - 1},
		{Group: "air-hourly", Name: "hourly", Time: ahead, Set: true},
	}, result.Times)
	written := records("air-hourly-table")[before:]
	require.Len(t, written, 2)
	want := timesRow(t, "air-hourly-table", "hourly", at)
	require.Equal(t, want.Key, written[0].Key)
	require.Equal(t, want.Value, written[0].Value)
	require.Equal(t, state.PositionKey, string(written[1].Key), "the position is the last row of a commit")
	position, err := state.DecodePosition(written[1].Value)
	require.NoError(t, err)
	require.Equal(t, at, position.StreamTime)
	require.EqualValues(t, 7, position.Direct[state.TopicPartition{Topic: "flights", Partition: 0}])
	require.Len(t, records("air-cargo-hourly-table"), before, "another application")

	code, stdout, stderr = call(t, "times", "set", "air", "--to", noon, "--brokers", address)
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stdout, "0 of 3 times were set.")
	require.Len(t, records("air-hourly-table"), before+2)
}

func TestTimes_refusals(t *testing.T) {
	t.Parallel()
	address := startAirport(t)
	code, _, stderr := call(t, "times", "set", "airport", "--to", noon, "--brokers", address)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, `group "airport-delays" has 1 members`)
	require.Contains(t, stderr, "stop all instances of the application first")

	code, _, stderr = call(t, "times", "show", "railway", "--brokers", address)
	require.Equal(t, exitFailure, code)
	require.Contains(t, stderr, `there is no application "railway"`)
	for _, args := range [][]string{{"set", "airport"}, {"set", "airport", "--to", "noon"}, {"set", "--to", noon}, {"show"}, {"show", "a", "b"}} {
		code, _, stderr = call(t, append([]string{"times"}, append(args, "--brokers", address)...)...)
		require.Equal(t, exitUsage, code, stderr)
	}
}
