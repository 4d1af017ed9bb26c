package topology_test

import (
	"context"
	"fmt"
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
		// Processors of two sub-topologies read one table, and so does a join.
		"global-rows": {Define: func(b *topology.Builder) {
			airlines := airlinesOf(b)
			s := flights(b)
			out(s.Process("lookup", lookUpGlobal(airlines)))
			out(s.Rekey(carrier).Repartition("by-carrier", codecs.String, codecs.String).Process("lookup-again", lookUpGlobal(airlines)))
			out(s.JoinGlobal(airlines, byAirline, withAirline))
		}},
		// The processor decides what to make of a row that cannot be decoded.
		"global-rows-undecodable": {Define: func(b *topology.Builder) {
			numbers := topology.GlobalTableOf(b, "numbers", codecs.String, codecs.Int64)
			out(flights(b).ProcessValues("number", func(p *topology.ValuesContext[string]) (processor, error) {
				rows := numbers.In(p)
				return func(_ context.Context, r record) error {
					n, _, ok, err := rows.Get(r.Key)
					switch {
					case err != nil && r.Value == "x":
						p.Forward("unreadable")
						return nil
					case ok:
						p.Forward(decimal(n))
					default:
						p.Forward("none")
					}
					return err
				}, nil
			}))
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

// lookUpGlobal adds the airline of a flight, and since when the airline has had its name.
func lookUpGlobal(airlines topology.GlobalTable[string, string]) func(p scope) (processor, error) {
	return func(p scope) (processor, error) {
		airlines.In(p) // it is connected once
		rows := airlines.In(p)
		return func(_ context.Context, r record) error {
			key, ok := byAirline(r.Key, r.Value)
			if !ok {
				return nil
			}
			name, at, ok, err := rows.Get(key)
			if ok {
				r.Value += fmt.Sprintf(" of %s since %d", name, at)
			}
			p.Forward(r)
			return err
		}, nil
	}
}
