package conformance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/topology"
)

// recording is a file of recorded answers.
type recording struct {
	Topology     string `json:"topology"`
	RecordedFrom string `json:"recorded_from"`
	Runs         []run  `json:"runs"`
}

// run is one random input and its answers.
type run struct {
	Seed  int64  `json:"seed"`
	Steps []step `json:"steps"`

	// Of runs that are not recorded: the order of the outputs of a step is not compared; the outputs are compared in
	// the end only, and all those of the last step.
	anyOrder, whole bool
}

// step is a record that is piped in, or an advance of the wall clock, and what comes out.
type step struct {
	Topic            string   `json:"topic"`
	Key              *string  `json:"key"` // nil is null
	Value            *string  `json:"value"`
	Timestamp        int64    `json:"timestamp_ms"`
	AdvanceWallClock int64    `json:"advance_wall_clock_ms"` // milliseconds; a record if 0
	Outputs          []output `json:"outputs"`
}

// output is a record on the topic "out".
type output struct {
	Key       *string `json:"key"`
	Value     *string `json:"value"`
	Timestamp int64   `json:"timestamp_ms"`
}

type record = topology.Record[string, string]

// load reads a file of JSON strictly: a field that v does not have would never be checked.
func load(t *testing.T, path string, v any) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(v), path)
}

func loadRecording(t *testing.T, path string) recording {
	t.Helper()
	var r recording
	load(t, path, &r)
	require.NotEmpty(t, r.Topology, "%s names no topology", path)
	require.NotEmpty(t, r.Runs, "%s has no runs", path)
	for _, run := range r.Runs {
		require.NotEmpty(t, run.Steps, "%s: the run with seed %d has no steps", path, run.Seed)
	}
	return r
}

// recordings returns the recordings of a folder; none at all is a failure, since a test that compares nothing passes.
func recordings(t *testing.T, folder string) []string {
	t.Helper()
	_, err := os.ReadDir(folder)
	require.NoError(t, err)
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths, "folder %s holds no recording (*.json)", folder)
	return paths
}

// record returns the record that the step pipes in.
func (s step) record() record { return newRecord(s.Key, s.Value, s.Timestamp) }

// records returns the outputs of the step as the driver returns them.
func (s step) records() []record {
	var records []record
	for _, out := range s.Outputs {
		records = append(records, newRecord(out.Key, out.Value, out.Timestamp))
	}
	return records
}

func newRecord(key, value *string, timestamp int64) record {
	r := record{NullKey: key == nil, NullValue: value == nil, Timestamp: timestamp}
	if key != nil {
		r.Key = *key
	}
	if value != nil {
		r.Value = *value
	}
	return r
}

func (s step) String() string {
	if s.AdvanceWallClock > 0 {
		return fmt.Sprintf("wall clock +%d ms", s.AdvanceWallClock)
	}
	return s.Topic + ": " + show(s.record())
}

func show(r record) string {
	key, value := "null", "null"
	if !r.NullKey {
		key = strconv.Quote(r.Key)
	}
	if !r.NullValue {
		value = strconv.Quote(r.Value)
	}
	return fmt.Sprintf("%s -> %s @%d", key, value, r.Timestamp)
}

func showAll(records []record) string {
	if len(records) == 0 {
		return "nothing"
	}
	shown := make([]string, len(records))
	for i, r := range records {
		shown[i] = show(r)
	}
	return strings.Join(shown, ", ")
}

// sameRecords compares all but headers, which the recordings do not have.
func sameRecords(want, got []record) bool {
	return slices.EqualFunc(want, got, func(a, b record) bool { return show(a) == show(b) })
}

// same compares the outputs of a step.
func (r run) same(want, got []record) bool {
	if r.anyOrder {
		want, got = sorted(want), sorted(got)
	}
	return sameRecords(want, got)
}

func sorted(records []record) []record {
	return slices.SortedFunc(slices.Values(records), func(a, b record) int { return strings.Compare(show(a), show(b)) })
}
