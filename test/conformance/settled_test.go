package conformance_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// settles names the programs whose sub-topologies read each other's output: the order of two records depends on when
// they run, but the final results do not.
func settles() map[string]bool {
	return map[string]bool{"foreign-key-inner": true, "foreign-key-left": true}
}

// compareSettled compares the last values that the application has written with the last values of a single undisturbed
// task.
func (s *site) compareSettled(t *testing.T) {
	t.Helper()
	d := topologytest.NewDriver(t, s.top)
	for _, r := range s.input {
		require.NoError(t, d.PipeRaw(r.Topic, engine.RawRecord{
			Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli(), Headers: headersOf(r),
		}))
	}
	want, got := make(map[string]string), make(map[string]string)
	for _, r := range topologytest.Output(d, "out", codecs.String, codecs.String).Drain() {
		delete(want, r.Key)
		if !r.NullValue {
			want[r.Key] = r.Value
		}
	}
	for p := range int32(runtimePartitions) {
		for _, r := range s.log(t, state.TopicPartition{Topic: "out", Partition: p}) {
			delete(got, string(r.Key))
			if r.Value != nil {
				got[string(r.Key)] = string(r.Value)
			}
		}
	}
	require.NotEmpty(t, want)
	require.Equal(t, want, got)
}
