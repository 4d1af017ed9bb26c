package topology_test

import (
	"iter"
	"testing"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestBuild_refusesIndexes(t *testing.T) {
	var noCodec codecs.Codec[string]
	testRefusals(t, []refusal{
		{name: "nothing given", define: func(b *topology.Builder) {
			left := leftTable(b)
			left.Index("", gateOf, codecs.String)
			left.Index("by-gate", gateOf, noCodec)
			left.Index[string]("by-letter", nil, codecs.String)
			left.IndexEach[string]("by-word", nil, codecs.String)
			left.IndexEach("left", func(string, string) iter.Seq[string] { return nil }, codecs.String)
		}, want: []string{
			`index "": name is empty; choose one, it becomes part of the names of topics and stores`,
			`index "by-gate": the index codec is nil`,
			`index "by-letter": the function is nil`,
			`index "by-word": the function is nil`,
			`index "left": the name is taken by the table at PLACE; names are unique in a topology`,
		}},
		{name: "tables without a store of their own", define: func(b *topology.Builder) {
			left := leftTable(b)
			left.Filter(notCancelled).Index("a", gateOf, codecs.String)
			left.Join(rightTable(b), both).Index("b", gateOf, codecs.String)
			left.EmitOnCommit().Index("c", gateOf, codecs.String)
		}, want: []string{
			`index "a": the table has no store of its own that the index could lead to; call Materialize before`,
			`index "b": the table has no store of its own that the index could lead to; call Materialize before`,
			`index "c": the table has no store of its own that the index could lead to; call Materialize before`,
		}},
		{name: "an index of another builder", define: func(b *topology.Builder) {
			other := leftTable(topology.NewBuilder("other")).Index("by-gate", gateOf, codecs.String)
			flights(b).Process("find", found(other))
		}, want: []string{
			`process "find": the index "by-gate" at PLACE belongs to another builder (application "other"); a topology has one builder`,
		}},
	})
}
