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

// docStreamPrograms returns the programs of the stream-stream columns of the documentation.
func docStreamPrograms() map[string]program {
	windows := topology.Within(15 * time.Second)
	return map[string]program{
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
