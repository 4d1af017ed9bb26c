package conformance_test

import (
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func joinPrograms() map[string]program {
	all := map[string]program{
		"stream-table-inner": func(b *topology.Builder) {
			out(source(b, "a").JoinTable(tableOf(b, "b", "r"), joined))
		},
		"stream-table-left": func(b *topology.Builder) {
			out(source(b, "a").LeftJoinTable(tableOf(b, "b", "r"), leftJoined))
		},
		"stream-table-inner-versioned": func(b *topology.Builder) {
			out(source(b, "a").JoinTable(versioned(b, "b", "r"), joined))
		},
		"stream-table-left-versioned": func(b *topology.Builder) {
			out(source(b, "a").LeftJoinTable(versioned(b, "b", "r"), leftJoined))
		},
		"stream-table-inner-grace": func(b *topology.Builder) {
			out(source(b, "a").JoinTableWithGrace("g", versioned(b, "b", "r"), 5*time.Second, joined, codecs.String))
		},
		"stream-table-left-grace": func(b *topology.Builder) {
			out(source(b, "a").LeftJoinTableWithGrace("g", versioned(b, "b", "r"), 5*time.Second, leftJoined, codecs.String))
		},
		"chain-window-to-table-join": func(b *topology.Builder) {
			addOrReplace := func(_, value, all string) string {
				if added := cat(all, value); len(added) <= 9 {
					return added
				}
				return value
			}
			t := source(b, "a").GroupByKey().Aggregate("s", none, addOrReplace, codecs.String)
			out(source(b, "b").LeftJoinTable(t, leftJoined))
		},
		"self-join": func(b *topology.Builder) {
			s := source(b, "a")
			windows := topology.Within(3 * time.Second).Grace(2 * time.Second)
			out(s.Join("joined", s, windows, joined, codecs.String, codecs.String))
		},
		"foreign-key-inner": func(b *topology.Builder) {
			outTable(tableOf(b, "a", "l").JoinForeign("fk", tableOf(b, "b", "r"), foreignKey, joined, codecs.String))
		},
		"foreign-key-left": func(b *topology.Builder) {
			outTable(tableOf(b, "a", "l").LeftJoinForeign("fk", tableOf(b, "b", "r"), foreignKey, leftJoined, codecs.String))
		},
	}
	for suffix, grace := range map[string]time.Duration{"-grace0": 0, "-grace5": 5 * time.Second} {
		windows := topology.Within(5 * time.Second).Before(3 * time.Second).Grace(grace)
		all["stream-stream-inner"+suffix] = func(b *topology.Builder) {
			out(source(b, "a").Join("joined", source(b, "b"), windows, joined, codecs.String, codecs.String))
		}
		all["stream-stream-left"+suffix] = func(b *topology.Builder) {
			out(source(b, "a").LeftJoin("joined", source(b, "b"), windows, leftJoined, codecs.String, codecs.String))
		}
		all["stream-stream-outer"+suffix] = func(b *topology.Builder) {
			out(source(b, "a").OuterJoin("joined", source(b, "b"), windows, outerJoined, codecs.String, codecs.String))
		}
	}
	return all
}

// leftJoined is j for a left join.
func leftJoined(left string, right *string) string { return joined(left, orNull(right)) }

// outerJoined is j for an outer join.
func outerJoined(left, right *string) string { return joined(orNull(left), orNull(right)) }

// foreignKey is fk: values that begin with an x have none.
func foreignKey(_, value string) (key string, ok bool) {
	return strings.ToUpper(first(value)), !strings.HasPrefix(value, "x")
}
