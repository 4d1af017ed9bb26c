package conformance_test

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

// streamStreamPrograms returns the programs of StreamStreamJoinIntegrationTest.
func streamStreamPrograms() map[string]program {
	windows := topology.Within(10 * time.Second).Grace(24 * time.Hour)
	inner := func(l, r stream, name string) stream {
		return l.Join(name, r, windows, dashed, codecs.String, codecs.String)
	}
	left := func(l, r stream, name string) stream {
		return l.LeftJoin(name, r, windows, leftDashed, codecs.String, codecs.String)
	}
	outer := func(l, r stream, name string) stream {
		return l.OuterJoin(name, r, windows, outerDashed, codecs.String, codecs.String)
	}
	self := func(b *topology.Builder) {
		s := source(b, "a")
		out(inner(s, s, "joined"))
	}
	of := func(join func(l, r stream, name string) stream) program {
		return func(b *topology.Builder) { out(join(source(b, "a"), source(b, "b"), "joined")) }
	}
	repartitioned := func(join func(l, r stream, name string) stream) program {
		return func(b *topology.Builder) {
			l := source(b, "a").Repartition("left", codecs.String, codecs.String)
			r := source(b, "b").Repartition("right", codecs.String, codecs.String)
			out(join(l, r, "joined"))
		}
	}
	const test = "StreamStreamJoinIntegrationTest/"
	return map[string]program{
		test + "testSelfJoin":           self,
		test + "testInner":              of(inner),
		test + "testLeft":               of(left),
		test + "testOuter":              of(outer),
		test + "testInnerRepartitioned": repartitioned(inner),
		test + "testLeftRepartitioned":  repartitioned(left),
		test + "testOuterRepartitioned": repartitioned(outer),
		test + "testMultiInner": func(b *topology.Builder) {
			l, r := source(b, "a"), source(b, "b")
			out(inner(inner(l, r, "joined"), r, "again"))
		},
	}
}

// streamTablePrograms returns the programs of StreamTableJoinIntegrationTest and
// StreamTableJoinWithGraceIntegrationTest.
func streamTablePrograms() map[string]program {
	const test, testWithGrace = "StreamTableJoinIntegrationTest/", "StreamTableJoinWithGraceIntegrationTest/"
	const grace = 2 * time.Millisecond
	history := func(b *topology.Builder) table {
		return topology.TableOf(b, "b", codecs.String, codecs.String, topology.Named("right"), topology.Versioned(5*time.Minute))
	}
	return map[string]program{
		test + "testInner": func(b *topology.Builder) { out(source(b, "a").JoinTable(tableOf(b, "b", "right"), dashed)) },
		test + "testLeft": func(b *topology.Builder) {
			out(source(b, "a").LeftJoinTable(tableOf(b, "b", "right"), leftDashed))
		},
		test + "testInnerWithVersionedStore": func(b *topology.Builder) { out(source(b, "a").JoinTable(history(b), dashed)) },
		test + "testLeftWithVersionedStore":  func(b *topology.Builder) { out(source(b, "a").LeftJoinTable(history(b), leftDashed)) },
		testWithGrace + "testInnerWithVersionedStore": func(b *topology.Builder) {
			out(source(b, "a").JoinTableWithGrace("joined", history(b), grace, dashed, codecs.String))
		},
		testWithGrace + "testLeftWithVersionedStore": func(b *topology.Builder) {
			out(source(b, "a").LeftJoinTableWithGrace("joined", history(b), grace, leftDashed, codecs.String))
		},
	}
}

// docStreamPrograms returns the programs of the stream-stream and stream-table columns of the documentation.
func docStreamPrograms(grace time.Duration) map[string]program {
	windows := topology.Within(15 * time.Second).Grace(grace)
	return map[string]program{
		"stream_table/(INNER) JOIN": func(b *topology.Builder) {
			out(source(b, "a").JoinTable(tableOf(b, "b", "right"), bracketed))
		},
		"stream_table/LEFT JOIN": func(b *topology.Builder) {
			out(source(b, "a").LeftJoinTable(tableOf(b, "b", "right"), leftBracketed))
		},
		"stream_stream/(INNER) JOIN": func(b *topology.Builder) {
			out(source(b, "a").Join("joined", source(b, "b"), windows, bracketed, codecs.String, codecs.String))
		},
		"stream_stream/LEFT JOIN": func(b *topology.Builder) {
			out(source(b, "a").LeftJoin("joined", source(b, "b"), windows, leftBracketed, codecs.String, codecs.String))
		},
		"stream_stream/OUTER JOIN": func(b *topology.Builder) {
			out(source(b, "a").OuterJoin("joined", source(b, "b"), windows, outerBracketed, codecs.String, codecs.String))
		},
	}
}

func leftDashed(left string, right *string) string { return dashed(left, orNull(right)) }

func outerDashed(left, right *string) string { return dashed(orNull(left), orNull(right)) }

func leftBracketed(left string, right *string) string { return bracketed(left, orNull(right)) }

func outerBracketed(left, right *string) string { return bracketed(orNull(left), orNull(right)) }
