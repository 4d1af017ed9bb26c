package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

func TestGlobalTable_refuses(t *testing.T) {
	own := func(key, _ string) (string, bool) { return key, true }
	testRefusals(t, []refusal{
		{name: "nothing given", define: func(b *topology.Builder) {
			airlines := topology.GlobalTableOf[string, string](b, "", nil, nil)
			flights(b).JoinGlobal[string, string, string](airlines, nil, nil)
		}, want: []string{
			`global-table: the topic is empty`,
			`global-table: the key codec is nil`,
			`global-table: the value codec is nil`,
			`join-global: the function is nil`,
			`join-global: the function that makes keys of the global table is nil`,
		}},
		{name: "a topic that is read already", define: func(b *topology.Builder) {
			flights(b)
			topology.GlobalTableOf(b, "flights", codecs.String, codecs.String)
			airlinesOf(b)
			topology.TableOf(b, "airlines", codecs.String, codecs.String, topology.Named("others"))
		}, want: []string{
			`global-table: topic "flights" is read at PLACE already; use that stream or table again`,
			`source: topic "airlines" is read at PLACE already; use that stream or table again`,
		}},
		{name: "names", define: func(b *topology.Builder) {
			topology.GlobalTableOf(b, "Airlines", codecs.String, codecs.String)
			flights(b).GroupByKey().Count("gates")
			topology.GlobalTableOf(b, "gates", codecs.String, codecs.String)
		}, want: []string{
			`global-table: the name of topic "Airlines" cannot be that of a store; choose one with topology.Named`,
			`global-table: the name "gates" is taken by the count at PLACE; choose one with topology.Named`,
		}},
		{name: "an internal topic", define: func(b *topology.Builder) {
			flights(b).GroupByKey().Count("gates")
			topology.GlobalTableOf(b, "app-gates-table", codecs.String, codecs.String)
		}, want: []string{
			`global-table: topic "app-gates-table" is that of the changelog of sub-topology "gates", which only the topology itself may use`,
		}},
		{name: "zero and foreign tables", define: func(b *topology.Builder) {
			flights(b).JoinGlobal(topology.GlobalTable[string, string]{}, own, withAirline)
			flights(b).LeftJoinGlobal(airlinesOf(topology.NewBuilder("other")), own, withAirlineIfAny)
		}, want: []string{
			`join-global: the global table is the zero GlobalTable; global tables are made by topology.GlobalTableOf`,
			`source: topic "flights" is read at PLACE already; use that stream or table again`,
			`left-join-global: the global-table at PLACE belongs to another builder (application "other"); a topology has one builder`,
		}},
		{name: "a sub-topology", define: func(b *topology.Builder) {
			flights(b)
			topology.GlobalTableOf(b, "airlines", codecs.String, codecs.String, topology.InSubTopology("a"))
		}, want: []string{
			`global-table: a global table is in no sub-topology; leave topology.InSubTopology out`,
		}},
		{name: "nothing but a global table", define: func(b *topology.Builder) { airlinesOf(b) }, want: []string{
			`build: the topology has no source; start with Source or TableOf`,
		}},
	})
}

func TestGlobalTable_cannotBeAddedAfterBuild(t *testing.T) {
	b := topology.NewBuilder("app")
	out(flights(b))
	_, err := b.Build()
	require.NoError(t, err)
	airlinesOf(b)
	_, err = b.Build()
	require.ErrorContains(t, err, "global-table: called after Build")
}

func TestGlobalTable_isRequiredOfTheOwnerOfTheTask(t *testing.T) {
	top := build(t, "app", func(b *topology.Builder) {
		out(flights(b).JoinGlobal(airlinesOf(b), byAirline, withAirline))
	})
	require.Equal(t, []topology.Global{{Name: "airlines", Topic: "airlines"}}, top.Globals())
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	_, err = top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: noSink{}})
	require.ErrorContains(t, err, `TaskConfig.Globals has no rows of global table "airlines"`)
}

type noSink struct{}

func (noSink) Send(string, engine.RawRecord) error { return nil }
