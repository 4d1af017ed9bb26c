package topology_test

import (
	"testing"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestBuild_refusesStateless(t *testing.T) {
	str := codecs.String
	testRefusals(t, []refusal{
		{name: "nil functions", define: func(b *topology.Builder) {
			s := flights(b)
			s.FilterNot(nil)
			s.FilterRecord(nil)
			s.Map[string, string](nil)
			s.MapValuesWithKey[string](nil)
			s.MapRecord[string, string](nil)
			s.FlatMap[string, string](nil)
			s.FlatMapValues[string](nil)
			s.FlatMapValuesWithKey[string](nil)
			s.FlatMapRecord[string, string](nil)
			s.Split().Branch(nil)
			s.Split().BranchRecord(nil)
			s.Peek(nil)
			s.ForEach(nil)
		}, want: []string{
			"filter-not: the function is nil",
			"filter-record: the function is nil",
			"map: the function is nil",
			"map-values-with-key: the function is nil",
			"map-record: the function is nil",
			"flat-map: the function is nil",
			"flat-map-values: the function is nil",
			"flat-map-values-with-key: the function is nil",
			"flat-map-record: the function is nil",
			"branch: the function is nil",
			"branch: the function is nil",
			"peek: the function is nil",
			"for-each: the function is nil",
		}},
		{name: "two default branches", define: func(b *topology.Builder) {
			split := flights(b).Split()
			split.Default()
			split.Default(topology.Named("again"))
		}, want: []string{
			`default-branch "again": the split has a default branch already, made at PLACE`,
		}},
		{name: "merges", define: func(b *topology.Builder) {
			flights(b).Merge()
			topology.Source(b, "trains", str, str).Merge(topology.Stream[string, string]{})
			topology.Source(b, "ships", str, str).
				Merge(flights(topology.NewBuilder("other")))
		}, want: []string{
			"merge: there is no stream to merge with",
			"merge: a stream is the zero Stream; streams are made by topology.Source",
			`merge: the source at PLACE belongs to another builder (application "other"); a topology has one builder`,
		}},
		{name: "grouped after new keys", define: func(b *topology.Builder) {
			s := flights(b)
			s.Map(func(k, v string) (string, string) { return v, k }).GroupByKey()
			s.MapRecord(func(r textRecord) textRecord { return r }).Peek(func(textRecord) {}).GroupByKey()
			s.FlatMap(words).FlatMapValues(func(v string, emit func(string)) { emit(v) }).GroupByKey()
			s.FlatMapRecord(twice).Split().Default().GroupByKey()
			s.Merge(s.Rekey(carrier)).GroupByKey()
			s.Rekey(carrier).Merge(s).GroupByKey()
			s.Merge(topology.Source(b, "trains", codecs.JSON[string](), str)).GroupByKey()
		}, want: []string{
			changedKeys, changedKeys, changedKeys, changedKeys, changedKeys, changedKeys, changedKeys,
		}},
	})
}

const changedKeys = "group-by-key: the keys were changed at PLACE, so equal keys may be in different partitions; " +
	"call Repartition between the two"
