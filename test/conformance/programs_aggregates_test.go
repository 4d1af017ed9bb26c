package conformance_test

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func aggregatePrograms() map[string]program {
	return map[string]program{
		"count": func(b *topology.Builder) {
			out(source(b, "a").GroupByKey().Count("s").ToStream().MapValues(str))
		},
		"aggregate-delete": func(b *topology.Builder) {
			long := func(all string) bool { return len(all) > 7 }
			outTable(source(b, "a").GroupByKey().Aggregate("s", none, add, codecs.String, topology.DeleteWhen(long)))
		},
		"groupby-value": func(b *topology.Builder) {
			byFirst := func(_, value string) string { return first(value) }
			outTable(source(b, "a").GroupBy("g", byFirst, codecs.String, codecs.String).Aggregate("s", none, add, codecs.String))
		},
		"reduce": func(b *topology.Builder) {
			outTable(source(b, "a").GroupByKey().Reduce("s", cat, codecs.String))
		},
		"selectkey-reduce": func(b *topology.Builder) {
			byFirst := func(_, value string) string { return first(value) }
			outTable(source(b, "a").Rekey(byFirst).Repartition("g", codecs.String, codecs.String).
				GroupByKey().Reduce("s", cat, codecs.String))
		},
		"cogroup": func(b *topology.Builder) {
			outTable(cogrouped(b).Aggregate("s", none, codecs.String))
		},
	}
}

// cogrouped marks what comes from either topic.
func cogrouped(b *topology.Builder) topology.CogroupedStream[string, string] {
	from := func(topic string) func(key, value, all string) string {
		return func(_, value, all string) string { return cat(all, topic+value) }
	}
	return source(b, "a").GroupByKey().Cogroup(from("a")).Cogroup(source(b, "b").GroupByKey(), from("b"))
}
