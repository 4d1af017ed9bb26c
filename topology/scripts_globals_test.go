package topology_test

import (
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// byAirline is the key of a global table for a gate: values that begin with "x" have none.
func byAirline(_, gate string) (string, bool) {
	if strings.HasPrefix(gate, "x") {
		return "", false
	}
	return strings.ToUpper(gate[:min(2, len(gate))]), true
}

func airlinesOf(b *topology.Builder) topology.GlobalTable[string, string] {
	return topology.GlobalTableOf(b, "airlines", codecs.String, codecs.String)
}

func globalScenarios() map[string]topologytest.Scenario {
	return map[string]topologytest.Scenario{
		"join-global": {Define: func(b *topology.Builder) {
			out(flights(b).JoinGlobal(airlinesOf(b), byAirline, withAirline))
		}},
		"left-join-global": {Define: func(b *topology.Builder) {
			out(flights(b).LeftJoinGlobal(airlinesOf(b), byAirline, withAirlineIfAny))
		}},
		// Two sub-topologies read one table, which the application writes, too.
		"global-table": {Define: func(b *topology.Builder) {
			airlines := topology.GlobalTableOf(b, "Airlines", codecs.String, codecs.String, topology.Named("airlines"))
			s := flights(b)
			s.FilterNot(func(_, v string) bool { return strings.Contains(v, "1") }).To("Airlines", codecs.String, codecs.String)
			own := func(key, _ string) (string, bool) { return key, true }
			out(s.JoinGlobal(airlines, own, withAirline, topology.Named("first")))
			out(s.Rekey(carrier).Repartition("by-carrier", codecs.String, codecs.String).
				LeftJoinGlobal(airlines, own, withAirlineIfAny))
		}},
		"source-matching": {Define: func(b *topology.Builder) {
			out(topology.SourceMatching(b, "all-flights", `flights-\d+`, codecs.String, codecs.String).
				GroupByKey().Aggregate("gates", none, join, codecs.String).ToStream())
		}},
		"global-undecodable": {Define: func(b *topology.Builder) {
			numbers := topology.GlobalTableOf(b, "numbers", codecs.String, codecs.Int64)
			number := func(_ string, n *int64) string {
				if n == nil {
					return "none"
				}
				return decimal(*n)
			}
			out(flights(b).LeftJoinGlobal(numbers, func(key, _ string) (string, bool) { return key, true }, number))
		}},
	}
}
