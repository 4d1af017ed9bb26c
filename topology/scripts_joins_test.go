package topology_test

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// streamJoinScenarios joins flights, on the left, with gates.
func streamJoinScenarios() map[string]topologytest.Scenario {
	str := codecs.String
	windows := topology.Within(5 * time.Second).Before(3 * time.Second).Grace(2 * time.Second)
	return map[string]topologytest.Scenario{
		"join-streams": {Define: func(b *topology.Builder) {
			out(flights(b).Join("with-gate", gateStream(b), windows, withGate, str, str))
		}},
		"left-join-streams": {Define: func(b *topology.Builder) {
			out(flights(b).LeftJoin("with-gate", gateStream(b), windows, maybeGate, str, str))
		}},
		"outer-join-streams": {Define: func(b *topology.Builder) {
			out(flights(b).OuterJoin("with-gate", gateStream(b), windows, eitherGate, str, str))
		}},
		"join-later": {Define: func(b *topology.Builder) {
			later := topology.Within(0).Before(-2 * time.Second).After(6 * time.Second)
			out(flights(b).OuterJoin("with-gate", gateStream(b), later, eitherGate, str, str))
		}},
		"self-join": {Define: func(b *topology.Builder) {
			s := flights(b)
			out(s.Join("pairs", s, topology.Within(3*time.Second).Grace(2*time.Second), withGate, str, str))
		}},
		"left-self-join": {Define: func(b *topology.Builder) {
			s := flights(b)
			out(s.LeftJoin("pairs", s, topology.Within(3*time.Second).Before(-time.Second), maybeGate, str, str))
		}},
	}
}

// tableJoinScenarios joins flights with airlines.
func tableJoinScenarios() map[string]topologytest.Scenario {
	airlines := func(b *topology.Builder, opts ...topology.TableOption) topology.Table[string, string] {
		return topology.TableOf(b, "airlines", codecs.String, codecs.String, opts...)
	}
	history := topology.Versioned(20 * time.Second)
	const grace = 5 * time.Second
	return map[string]topologytest.Scenario{
		"left-join-table": {Define: func(b *topology.Builder) {
			out(flights(b).LeftJoinTable(airlines(b), maybeAirline))
		}},
		"left-join-table-repartitioned": {Define: func(b *topology.Builder) {
			repartitioned := flights(b).Repartition("by-airline", codecs.String, codecs.String)
			out(repartitioned.Filter(notCancelled).LeftJoinTable(airlines(b), maybeAirline))
		}},
		"join-table-versioned": {Define: func(b *topology.Builder) {
			out(flights(b).JoinTable(airlines(b, history), withAirline))
		}},
		"join-table-with-grace": {Define: func(b *topology.Builder) {
			out(flights(b).JoinTableWithGrace("joined", airlines(b, history), grace, withAirline, codecs.String))
		}},
		"left-join-table-with-grace": {Define: func(b *topology.Builder) {
			out(flights(b).LeftJoinTableWithGrace("joined", airlines(b, history), grace, maybeAirline, codecs.String))
		}},
	}
}

func maybeAirline(flight string, airline *string) string { return withAirline(flight, orNone(airline)) }

func gateStream(b *topology.Builder) topology.Stream[string, string] {
	return topology.Source(b, "gates", codecs.String, codecs.String)
}

func withGate(flight, gate string) string       { return flight + " at " + gate }
func maybeGate(flight string, g *string) string { return withGate(flight, orNone(g)) }
func eitherGate(flight, gate *string) string    { return withGate(orNone(flight), orNone(gate)) }
