package topology_test

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func ExampleTable_JoinForeign() {
	run(func(b *topology.Builder) {
		flights := topology.TableOf(b, "flights", codecs.String, codecs.String)
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
		flights.
			JoinForeign("flights-of-airlines", airlines, airlineOf, withAirline, codecs.String).
			ToStream().
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights 1001 KL:gate", "airlines KL KLM", "flights 1002 KL:boarding", "airlines KL Koninklijke", "flights 1001 x")
	// Output:
	// 1001 -> KL:gate of KLM @2000
	// 1002 -> KL:boarding of KLM @3000
	// 1001 -> KL:gate of Koninklijke @4000
	// 1002 -> KL:boarding of Koninklijke @4000
	// 1001 -> null @5000
	// dropped: null-foreign-key by flights-of-airlines-subscription-registration-sink
}

func ExampleTable_LeftJoinForeign() {
	run(func(b *topology.Builder) {
		flights := topology.TableOf(b, "flights", codecs.String, codecs.String)
		airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
		flights.
			LeftJoinForeign("flights-of-airlines", airlines, airlineOf, withAirlineIfAny, codecs.String).
			ToStream().
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights 1001 KL:gate", "airlines KL KLM", "flights 1001 x", "flights 1001 -")
	// Output:
	// 1001 -> KL:gate of none @1000
	// 1001 -> KL:gate of KLM @2000
	// 1001 -> x of none @3000
	// 1001 -> null @4000
}
