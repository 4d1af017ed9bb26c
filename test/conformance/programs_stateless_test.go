package conformance_test

import (
	"strings"

	"github.com/seed84377926/millrace/topology"
)

// statelessPrograms are those without state.
func statelessPrograms() map[string]program {
	tagged := func(tag string) func(string) string { return func(v string) string { return tag + v } }
	return map[string]program{
		"filter-map": func(b *topology.Builder) {
			out(source(b, "a").Filter(func(_, v string) bool { return !strings.HasPrefix(v, "x") }).MapValues(strings.ToUpper))
		},
		"flatmap-rekey": func(b *topology.Builder) {
			out(source(b, "a").FlatMapRecord(letters))
		},
		"branch": func(b *topology.Builder) {
			split := source(b, "a").Split()
			out(split.Branch(func(_, v string) bool { return v < "c" }).MapValues(tagged("lo:")))
			out(split.Branch(func(_, v string) bool { return v < "f" }).MapValues(tagged("mid:")))
			out(split.Default().MapValues(tagged("hi:")))
		},
		"merge": func(b *topology.Builder) {
			out(source(b, "a").Merge(source(b, "b")).MapRecord(marked))
		},
	}
}

// letters makes a record of each letter of the value. Java writes a null key as null.
func letters(r topology.Record[string, string], emit func(topology.Record[string, string])) {
	key := r.Key
	if r.NullKey {
		key = "null"
	}
	value := r.Value
	for _, letter := range value {
		r.Key, r.NullKey, r.Value = string(letter), false, key+":"+value
		emit(r)
	}
}

// marked writes m: before the value, also before null.
func marked(r topology.Record[string, string]) topology.Record[string, string] {
	if r.NullValue {
		r.Value, r.NullValue = "null", false
	}
	r.Value = "m:" + r.Value
	return r
}
