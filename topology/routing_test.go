package topology_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func TestRouting_needsToKnowThePartitions(t *testing.T) {
	b := topology.NewBuilder("app")
	s := flights(b)
	s.To("out", codecs.String, codecs.String, topology.PartitionBy(inValue))
	top, err := b.Build()
	require.NoError(t, err)
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	sub := top.SubTopologies()[0]
	_, err = sub.NewTask(engine.TaskConfig{State: part, Sink: discard{}})
	require.ErrorContains(t, err, "TaskConfig.Partitions is nil, and the topology chooses topics or partitions")
	missing := errors.New("no such topic")
	_, err = sub.NewTask(engine.TaskConfig{State: part, Sink: discard{}, Partitions: func(string) (int32, error) { return 0, missing }})
	require.ErrorIs(t, err, missing)
}

func TestToDynamic_missingTopicIsARouteError(t *testing.T) {
	b := topology.NewBuilder("app")
	flights(b).ToDynamic(func(r textRecord) string { return r.Value }, codecs.String, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	sub := top.SubTopologies()[0]
	require.True(t, sub.DynamicOutputs())
	require.Empty(t, sub.Outputs())
	d := topologytest.NewDriver(t, top, topologytest.TopicPartitions("lost", 0))
	err = topologytest.Input(d, "flights", codecs.String, codecs.String).TryPipe(textRecord{Key: "KL1001", Value: "lost"})
	var missing *engine.RouteError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "lost", missing.To)
	require.ErrorContains(t, missing.Unwrap(), "does not exist")
}

// A panic names the sink whose function panicked.
func TestRouting_panicNamesTheNode(t *testing.T) {
	name := topology.Named("here")
	panicsHere(t, map[string]func(s topology.Stream[string, string]){
		"partition-by": func(s topology.Stream[string, string]) {
			s.To("out", codecs.String, codecs.String, name, topology.PartitionBy(func(textRecord, int32) int32 { panic("no such flight") }))
		},
		"multicast": func(s topology.Stream[string, string]) {
			s.To("out", codecs.String, codecs.String, name, topology.Multicast(func(textRecord, int32, func(int32)) { panic("no such flight") }))
		},
		"to-dynamic": func(s topology.Stream[string, string]) {
			s.ToDynamic(func(textRecord) string { panic("no such flight") }, codecs.String, codecs.String, name)
		},
	})
}
