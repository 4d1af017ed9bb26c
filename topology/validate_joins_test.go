package topology_test

import (
	"testing"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestBuild_refusesJoins(t *testing.T) {
	str := codecs.String
	var noCodec codecs.Codec[string]
	var noJoin func(string, string) string
	var noLeft func(string, *string) string
	var noOuter func(*string, *string) string
	second := topology.Within(time.Second)
	testRefusals(t, []refusal{
		{name: "windows", define: func(b *topology.Builder) {
			s, other := flights(b), gateStream(b)
			s.Join("a", other, topology.Within(-time.Second), withGate, str, str)
			s.LeftJoin("b", other, second.Before(-2*time.Second), maybeGate, str, str)
			s.OuterJoin("c", other, second.Grace(-1), eitherGate, str, str)
			s.Join("d", s, second.After(time.Microsecond), withGate, str, str)
		}, want: []string{
			`join "a": the join window begins -1s before a record and ends -1s after it: it ends before it begins`,
			`left-join "b": the join window begins -2s before a record and ends 1s after it: it ends before it begins`,
			`outer-join "c": the grace of -1ns is negative`,
			`outer-join "c": the grace of -1ns is not a whole number of milliseconds`,
			`join "d": the time after of 1µs is not a whole number of milliseconds`,
		}},
		{name: "nil", define: func(b *topology.Builder) {
			s, other := flights(b), gateStream(b)
			s.Join("a", other, second, noJoin, noCodec, noCodec)
			s.LeftJoin("b", other, second, noLeft, str, noCodec)
			s.OuterJoin("c", other, second, noOuter, noCodec, str)
			s.Join("d", s, second, noJoin, noCodec, str)
			s.Join("e", topology.Stream[string, string]{}, second, withGate, str, str)
		}, want: []string{
			`join "a": the function is nil`,
			`join "a": the codec of the left values is nil`,
			`join "a": the codec of the right values is nil`,
			`left-join "b": the function is nil`,
			`left-join "b": the codec of the right values is nil`,
			`outer-join "c": the function is nil`,
			`outer-join "c": the codec of the left values is nil`,
			`join "d": the function is nil`,
			`join "d": the codec of the values is nil`,
			`join "e": the other stream is the zero Stream; streams are made by topology.Source and operators`,
		}},
		{name: "names", define: func(b *topology.Builder) {
			s, other := flights(b), gateStream(b)
			s.Join("", other, second, withGate, str, str)
			s.GroupByKey().Count("n-right")
			s.Join("n", other, second, withGate, str, str)
			s.GroupByKey().Count("n-left")
		}, want: []string{
			`join "": name is empty; choose one, it becomes part of the names of topics and stores`,
			`join "n": its store "n-right" has the name of the count at PLACE; names are unique in a topology`,
			`count "n-left": the name is taken by the join at PLACE; names are unique in a topology`,
		}},
		{name: "keys", define: func(b *topology.Builder) {
			s, other := flights(b), gateStream(b)
			s.Rekey(carrier).Join("a", other, second, withGate, str, str)
			s.LeftJoin("b", other.Rekey(carrier), second, maybeGate, str, str)
			rekeyed := s.Rekey(carrier)
			rekeyed.Join("c", rekeyed, second, withGate, str, str)
			numbers := topology.Source(b, "numbers", codecs.JSON[string](), str)
			s.OuterJoin("d", numbers, second, eitherGate, str, str)
		}, want: []string{
			`join "a": the keys were changed at PLACE, so equal keys may be in different partitions; call Repartition between the two`,
			`left-join "b": the keys were changed at PLACE, so equal keys may be in different partitions; call Repartition between the two`,
			`join "c": the keys were changed at PLACE, so equal keys may be in different partitions; call Repartition between the two`,
			`outer-join "d": one side encodes its keys with codecs.stringCodec, the source at PLACE with codecs.jsonCodec[string], ` +
				`so equal keys may be in different partitions; use one codec for both`,
		}},
		{name: "partitioners", define: func(b *topology.Builder) {
			own := topology.PartitionBy(func(topology.Record[string, string], int32) int32 { return 0 })
			s := flights(b)
			other := gateStream(b).Repartition("other", str, str)
			s.Join("a", s.Repartition("own", str, str, own), second, withGate, str, str)
			s.Repartition("left", str, str, own).LeftJoin("b", other, second, maybeGate, str, str)
			table := s.GroupBy("group", carrier, str, str, own).Aggregate("table", none, join, str)
			other.JoinTable(table, withGate)
			s.Repartition("right", str, str, own).JoinTable(table, withGate)
		}, want: []string{
			`left-join "b": one of the repartitions "left" at PLACE and "other" at PLACE has a partitioner of its own and the other ` +
				`has not, so equal keys may be in different partitions; give both the same`,
			`join-table: one of the repartitions "other" at PLACE and "group" at PLACE has a partitioner of its own and the other ` +
				`has not, so equal keys may be in different partitions; give both the same`,
		}},
		{name: "tables", define: func(b *topology.Builder) {
			s := flights(b)
			latest := topology.TableOf(b, "airlines", str, str)
			history := topology.TableOf(b, "planes", str, str, topology.Versioned(time.Second))
			s.LeftJoinTable(latest, noLeft)
			s.LeftJoinTable(topology.Table[string, string]{}, maybeAirline)
			s.Rekey(carrier).LeftJoinTable(latest, maybeAirline)
			s.JoinTableWithGrace("a", latest, time.Second, noJoin, noCodec)
			s.LeftJoinTableWithGrace("b", history, 2*time.Second, noLeft, str)
			s.JoinTableWithGrace("c", history, -time.Second, withAirline, str)
			s.JoinTableWithGrace("d", history, time.Microsecond, withAirline, str)
			s.LeftJoinTableWithGrace("d", topology.Table[string, string]{}, 0, maybeAirline, str)
		}, want: []string{
			`left-join-table: the function is nil`,
			`left-join-table: the table is the zero Table; tables are made by topology.TableOf and aggregations`,
			`left-join-table: the keys were changed at PLACE, so equal keys may be in different partitions; call Repartition between the two`,
			`join-table-with-grace "a": the function is nil`,
			`join-table-with-grace "a": the codec of the values is nil`,
			`join-table-with-grace "a": the table has no history for records to wait for; give it one of 1s at least with topology.Versioned`,
			`left-join-table-with-grace "b": the function is nil`,
			`left-join-table-with-grace "b": the grace of 2s is longer than the history of table "planes", 1s: ` +
				`rows would be lost before they are joined`,
			`join-table-with-grace "c": the grace of -1s is negative`,
			`join-table-with-grace "d": the grace of 1µs is not a whole number of milliseconds`,
			`left-join-table-with-grace "d": the name is taken by the join-table-with-grace at PLACE; names are unique in a topology`,
			`left-join-table-with-grace "d": the table is the zero Table; tables are made by topology.TableOf and aggregations`,
		}},
	})
}
