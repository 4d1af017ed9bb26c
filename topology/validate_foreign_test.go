package topology_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

func TestBuild_refusesForeignJoins(t *testing.T) {
	str := codecs.String
	var noFunction func(string, string) (string, bool)
	var noCodec codecs.Codec[string]
	tables := func(b *topology.Builder) (flights, airlines topology.Table[string, string]) {
		return topology.TableOf(b, "flights", str, str), topology.TableOf(b, "airlines", str, str)
	}
	for name, c := range map[string]struct {
		define func(b *topology.Builder)
		want   []string
	}{
		"nothing given": {func(b *topology.Builder) {
			flights, airlines := tables(b)
			flights.JoinForeign("", airlines, noFunction, (func(string, string) string)(nil), noCodec)
			flights.LeftJoinForeign("x", airlines, noFunction, (func(string, *string) string)(nil), noCodec)
		}, []string{
			`join-foreign "": name is empty; choose one, it becomes part of the names of topics and stores`,
			`join-foreign "": the function that finds the foreign key is nil`,
			`join-foreign "": the function is nil`,
			`join-foreign "": the codec of the results is nil`,
			`left-join-foreign "x": the function that finds the foreign key is nil`,
			`left-join-foreign "x": the function is nil`,
			`left-join-foreign "x": the codec of the results is nil`,
		}},
		"zero table": {func(b *topology.Builder) {
			flights, _ := tables(b)
			out(flights.JoinForeign("x", topology.Table[string, string]{}, airlineOf, withAirline, str).ToStream())
		}, []string{
			`join-foreign "x": the table is the zero Table; tables are made by topology.TableOf and aggregations`,
		}},
		"another builder": {func(b *topology.Builder) {
			flights, _ := tables(b)
			_, airlines := tables(topology.NewBuilder("other"))
			flights.JoinForeign("x", airlines, airlineOf, withAirline, str)
		}, []string{
			`join-foreign "x": the table at PLACE belongs to another builder (application "other"); a topology has one builder`,
		}},
		"name of its store": {func(b *topology.Builder) {
			flights, airlines := tables(b)
			flights.ToStream().GroupByKey().Count("x-subscriptions")
			flights.JoinForeign("x", airlines, airlineOf, withAirline, str)
		}, []string{
			`join-foreign "x": the name "x-subscriptions" of its store is taken by the count at PLACE; choose another one`,
		}},
		"its topic": {func(b *topology.Builder) {
			flights, airlines := tables(b)
			flights.JoinForeign("x", airlines, airlineOf, withAirline, str).ToStream().To("app-x-subscription-response", str, str)
		}, []string{
			`sink: topic "app-x-subscription-response" is that of foreign-key join "x", which only the topology itself may use`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := topology.NewBuilder("app")
			c.define(b)
			_, err := b.Build()
			require.Error(t, err)
			var got []string
			for line := range strings.Lines(err.Error()) {
				place, message, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
				require.Regexp(t, `^topology/(validate_foreign|scripts)_test\.go:\d+$`, place)
				got = append(got, placeholder(message))
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestForeignJoin_panicNamesTheNode(t *testing.T) {
	b := topology.NewBuilder("app")
	flights, airlines := topology.TableOf(b, "flights", codecs.String, codecs.String), topology.TableOf(b, "airlines", codecs.String, codecs.String)
	flights.JoinForeign("x", airlines, func(_, v string) (string, bool) { panic(v) }, withAirline, codecs.String)
	top, err := b.Build()
	require.NoError(t, err)
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	task, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: discard{}})
	require.NoError(t, err)
	defer task.Close()
	err = task.Process(0, &engine.RawRecord{Key: []byte("1"), Value: []byte("boom"), Offset: 7})
	require.EqualError(t, err, `node "x-subscription-registration-sink": topic "flights" partition 0 offset 7: panic: boom`)
}
