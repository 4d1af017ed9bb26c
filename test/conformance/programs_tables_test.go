package conformance_test

import (
	"maps"
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func tablePrograms() map[string]program {
	noX := func(_, value string) bool { return !strings.HasPrefix(value, "x") }
	all := map[string]program{
		"table-filter": func(b *topology.Builder) { outTable(tableOf(b, "a", "s").Filter(noX)) },
		"table-filter-materialized": func(b *topology.Builder) {
			outTable(tableOf(b, "a", "s").Filter(noX).Materialize("f", codecs.String))
		},
		"table-mapvalues": func(b *topology.Builder) {
			outTable(tableOf(b, "a", "s").MapValues(strings.ToUpper).Materialize("m", codecs.String))
		},
		"to-table": func(b *topology.Builder) {
			exclaim := func(value string) string { return value + "!" }
			outTable(source(b, "a").MapValues(exclaim).ToTable("s", codecs.String))
		},
	}
	maps.Copy(all, groupedTablePrograms())
	for kind, join := range tableJoins(joined) {
		all["table-table-"+kind] = func(b *topology.Builder) { outTable(join(tableOf(b, "a", "l"), tableOf(b, "b", "r"))) }
		all["table-table-"+kind+"-materialized"] = func(b *topology.Builder) {
			outTable(join(tableOf(b, "a", "l"), tableOf(b, "b", "r")).Materialize("o", codecs.String))
		}
		all["table-table-"+kind+"-versioned"] = func(b *topology.Builder) {
			outTable(join(versioned(b, "a", "l"), versioned(b, "b", "r")))
		}
	}
	return all
}

func groupedTablePrograms() map[string]program {
	text := codecs.String
	byFirst := func(key, value string) (string, string) { return first(value), key + value }
	plus := func(_, value, all string) string { return cat(all, value) }
	minus := func(_, value, all string) string { return all + "-" + value }
	return map[string]program{
		"table-groupby-aggregate": func(b *topology.Builder) {
			outTable(tableOf(b, "a", "s").GroupBy("g", byFirst, text, text).Aggregate("t", none, plus, minus, text))
		},
		"table-groupby-count": func(b *topology.Builder) {
			outTable(tableOf(b, "a", "s").GroupBy("g", byFirst, text, text).Count("t").MapValues(str))
		},
		"table-groupby-reduce": func(b *topology.Builder) {
			add := func(all, value string) string { return all + "+" + value }
			subtract := func(all, value string) string { return all + "-" + value }
			outTable(tableOf(b, "a", "s").GroupBy("g", byFirst, text, text).Reduce("t", add, subtract))
		},
		"chain-count-of-counts": func(b *topology.Builder) {
			byCount := func(key string, n int64) (string, string) { return "n" + str(n), key }
			outTable(source(b, "a").GroupByKey().Count("s").GroupBy("g", byCount, text, text).Aggregate("t", none, plus, minus, text))
		},
	}
}

// tableJoins are the kinds of joins of two tables. A side without a row shows as "null".
func tableJoins(join func(left, right string) string) map[string]func(left, right table) table {
	return map[string]func(left, right table) table{
		"inner": func(left, right table) table { return left.Join(right, join) },
		"left": func(left, right table) table {
			return left.LeftJoin(right, func(value string, row *string) string { return join(value, orNull(row)) })
		},
		"outer": func(left, right table) table {
			return left.OuterJoin(right, func(left, right *string) string { return join(orNull(left), orNull(right)) })
		},
	}
}

// versioned is a table that keeps 30 s of history.
func versioned(b *topology.Builder, topic, store string) table {
	return topology.TableOf(b, topic, codecs.String, codecs.String, topology.Named(store), topology.Versioned(30*time.Second))
}

func orNull(value *string) string {
	if value == nil {
		return "null"
	}
	return *value
}
