package topology_test

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// foreignScenarios are the scenarios of foreign-key joins. The value of a flight is its airline and, after a colon, a
// remark.
func foreignScenarios() map[string]topologytest.Scenario {
	tables := func(b *topology.Builder) (flights, airlines topology.Table[string, string]) {
		return topology.TableOf(b, "flights", codecs.String, codecs.String), topology.TableOf(b, "airlines", codecs.String, codecs.String)
	}
	return map[string]topologytest.Scenario{
		"join-foreign": {Define: func(b *topology.Builder) {
			flights, airlines := tables(b)
			out(flights.JoinForeign("flights-of-airlines", airlines, airlineOf, withAirline, codecs.String).ToStream())
		}},
		"left-join-foreign": {Define: func(b *topology.Builder) {
			flights, airlines := tables(b)
			out(flights.LeftJoinForeign("flights-of-airlines", airlines, airlineOf, withAirlineIfAny, codecs.String).ToStream())
		}},
		// Flights refer to the flight before.
		"join-foreign-self": {Define: func(b *topology.Builder) {
			flights := topology.TableOf(b, "flights", codecs.String, codecs.String)
			out(flights.JoinForeign("connections", flights, airlineOf, withAirline, codecs.String).ToStream())
		}},
		// The result of one join is a side of the next.
		"join-foreign-twice": {Define: func(b *topology.Builder) {
			flights, airlines := tables(b)
			countries := topology.TableOf(b, "countries", codecs.String, codecs.String)
			first := flights.LeftJoinForeign("flights-of-airlines", airlines, airlineOf, withAirlineIfAny, codecs.String)
			out(first.JoinForeign("flights-of-countries", countries, airlineOf, withAirline, codecs.String).ToStream())
		}},
		"left-join-foreign-reverse": {Define: func(b *topology.Builder) {
			flights, airlines := tables(b)
			joined := flights.JoinForeign("flights-of-airlines", airlines, airlineOf, withAirline, codecs.String)
			out(airlines.LeftJoinForeign("airlines-of-flights", joined, airlineOf, withAirlineIfAny, codecs.String).ToStream())
		}},
	}
}

// airlineOf returns the first two letters of a flight's value; a shorter one names no airline.
func airlineOf(_, flight string) (airline string, ok bool) {
	if len(flight) < 2 {
		return "", false
	}
	return flight[:2], true
}

func withAirlineIfAny(flight string, airline *string) string {
	if airline == nil {
		return flight + " of none"
	}
	return withAirline(flight, *airline)
}
