package topology_test

import (
	"testing"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestBuild_refusesTables(t *testing.T) {
	var noCodec codecs.Codec[string]
	testRefusals(t, []refusal{
		{name: "history", define: func(b *topology.Builder) {
			leftTable(b, topology.Versioned(0))
		}, want: []string{"table: the history of 0s is not positive"}},
		{name: "history of a part of a millisecond", define: func(b *topology.Builder) {
			leftTable(b, topology.Versioned(time.Microsecond))
		}, want: []string{"table: the history of 1µs is not a whole number of milliseconds"}},
		{name: "functions", define: func(b *topology.Builder) {
			left, right := leftTable(b), rightTable(b)
			left.Filter(nil)
			left.FilterNot(nil)
			left.MapValues[string](nil)
			left.MapValuesWithKey[string](nil)
			left.Join[string, string](right, nil)
			left.LeftJoin[string, string](right, nil)
			left.OuterJoin[string, string](right, nil)
			left.Join(topology.Table[string, string]{}, both).Filter(notCancelled)
		}, want: []string{
			"filter: the function is nil",
			"filter-not: the function is nil",
			"map-values: the function is nil",
			"map-values: the function is nil",
			"join: the function is nil",
			"left-join: the function is nil",
			"outer-join: the function is nil",
			"join: the other table is the zero Table; tables are made by topology.TableOf and aggregations",
		}},
		{name: "tables of two builders", define: func(b *topology.Builder) {
			leftTable(b).Join(rightTable(topology.NewBuilder("other")), both)
		}, want: []string{
			`join: the table at PLACE belongs to another builder (application "other"); a topology has one builder`,
			`join: the table at PLACE belongs to another builder (application "other"); a topology has one builder`,
		}},
		{name: "tables with other codecs", define: func(b *topology.Builder) {
			leftTable(b).Join(topology.TableOf(b, "right", codecs.JSON[string](), codecs.String), both)
		}, want: []string{
			`join: one side encodes its keys with codecs.stringCodec, the table at PLACE with codecs.jsonCodec[string], ` +
				"so equal keys may be in different partitions; use one codec for both",
		}},
		{name: "stores", define: func(b *topology.Builder) {
			leftTable(b).Materialize("loud", nil)
			leftTable := flights(b).ToTable("latest", nil, nil)
			leftTable.Materialize("latest", codecs.String)
			flights(b).Rekey(carrier).ToTable("by-carrier", codecs.String)
		}, want: []string{
			`materialize "loud": the value codec is nil`,
			`to-table "latest": option is nil`,
			`to-table "latest": the value codec is nil`,
			`materialize "latest": the name is taken by the to-table at PLACE; names are unique in a topology`,
			`source: topic "flights" is read at PLACE already; use that stream or table again`,
			`to-table "by-carrier": the keys were changed at PLACE, so equal keys may be in different partitions; ` +
				"call Repartition between the two",
		}},
		{name: "grouped tables", define: func(b *topology.Builder) {
			text := codecs.String
			leftTable(b).GroupBy("nothing", (func(string, string) (string, string))(nil), text, nil)
			grouped := rightTable(b).GroupBy("by-value", byValue, text, text, topology.Partitions(0))
			grouped.Count("")
			grouped.Reduce("reduce", nil, nil, nil)
			grouped.Aggregate("aggregate", nil, nil, nil, noCodec, topology.DeleteWhen[string](nil))
		}, want: []string{
			"group-by: the function is nil",
			`group-by "nothing": the value codec is nil`,
			`group-by "by-value": 0 partitions; a topic has at least one`,
			`count "": name is empty; choose one, it becomes part of the names of topics and stores`,
			`reduce "reduce": the function that adds a value is nil`,
			`reduce "reduce": the function that subtracts a value is nil`,
			`reduce "reduce": option is nil`,
			`aggregate "aggregate": the function for the initial value is nil`,
			`aggregate "aggregate": the function that adds a value is nil`,
			`aggregate "aggregate": the function that subtracts a value is nil`,
			`aggregate "aggregate": the codec of the results is nil`,
			`aggregate "aggregate": the function of DeleteWhen is nil`,
		}},
		{name: "TTL", define: func(b *topology.Builder) {
			leftTable(b, topology.TTL(-time.Second))
			rightTable(b, topology.TTL(time.Hour+time.Nanosecond))
			flights(b).ToTable("both", codecs.String, topology.TTL(time.Hour), topology.Versioned(time.Hour))
		}, want: []string{
			"table: the TTL of -1s is not positive",
			"table: the TTL of 1h0m0.000000001s is not a whole number of milliseconds",
			`to-table "both": a table has either Versioned or TTL: old versions go when history is over`,
		}},
		{name: "options of aggregations", define: func(b *topology.Builder) {
			grouped := flights(b).GroupByKey()
			empty := func(s string) bool { return s == "" }
			grouped.Count("count", topology.TTL(0), topology.DeleteWhen(empty), nil)
			grouped.Aggregate("aggregate", none, join, codecs.String, topology.Versioned(0))
			grouped.WindowedBy(topology.Tumbling(time.Hour)).Aggregate("windows", none, join, codecs.String, topology.TTL(time.Hour))
		}, want: []string{
			`count "count": option is nil`,
			`count "count": DeleteWhen has a func(string) bool, and the results are of type int64`,
			`count "count": the TTL of 0s is not positive`,
			`aggregate "aggregate": the history of 0s is not positive`,
			`windowed-aggregate "windows": Versioned and TTL are for tables without windows; windows have a Retention`,
		}},
		{name: "versions at the commit", define: func(b *topology.Builder) {
			leftTable(b, topology.Versioned(time.Hour)).EmitOnCommit()
		}, want: []string{
			"emit-on-commit: a versioned table forwards updates of its history as well, of which there may be several for a key",
		}},
		{name: "nil table option", define: func(b *topology.Builder) { leftTable(b, nil) }, want: []string{"table: option is nil"}},
	})
}
