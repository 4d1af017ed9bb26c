package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// What leads to an output: arrows, and the stores that operators on the way read.
func TestSubTopology_Feeding(t *testing.T) {
	top := build(t, "app", func(b *topology.Builder) {
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
		s := flights(b)
		out(s.JoinTable(airlines, withAirline))
		s.Rekey(carrier).Repartition("by-carrier", codecs.String, codecs.String).JoinTable(airlines, withAirline).
			To("by-carrier", codecs.String, codecs.String)
	})
	require.Len(t, top.SubTopologies(), 1)
	sub := top.SubTopologies()[0]
	require.Equal(t, []string{"airlines", "flights"}, sub.Feeding("out"))
	require.Equal(t, []string{"flights"}, sub.Feeding("app-by-carrier-repartition"))
	require.Equal(t, []string{"airlines", "app-by-carrier-repartition"}, sub.Feeding("by-carrier"))
	require.Empty(t, sub.Feeding("elsewhere"))
}

// A foreign-key join is no cycle: the right side asks for nothing.
func TestSubTopology_Feeding_foreignJoin(t *testing.T) {
	top := build(t, "app", foreignScenarios()["join-foreign"].Define)
	left, right := top.SubTopologies()[0], top.SubTopologies()[1]
	require.Equal(t, []string{"flights"}, left.Feeding("app-flights-of-airlines-subscription-registration"))
	require.Equal(t, []string{"airlines", "app-flights-of-airlines-subscription-registration"},
		right.Feeding("app-flights-of-airlines-subscription-response"))
	require.Equal(t, []string{"app-flights-of-airlines-subscription-response", "flights"}, left.Feeding("out"))
	ref, ok := top.Table("flights-of-airlines")
	require.True(t, ok)
	require.Equal(t, []string{"flights"}, ref.Direct)
	require.Equal(t, []string{"airlines", "flights"}, ref.Derived)
}
