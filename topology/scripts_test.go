package topology_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// The scripts in testdata/scripts tell what each operator does, record by record. The scenarios here are as small as
// the operator allows; "flights" are the input and "out" is the output.
func TestScripts(t *testing.T) {
	topologytest.RunScripts(t, "testdata/scripts", scenarios())
}

func scenarios() map[string]topologytest.Scenario {
	number := topologytest.Format{Value: topologytest.TextOf(codecs.Int64)}
	counts := map[string]topologytest.Format{"out": number, "flights-by-carrier": number}
	all := map[string]topologytest.Scenario{
		"source":     {Define: func(b *topology.Builder) { out(flights(b)) }},
		"filter":     {Define: func(b *topology.Builder) { out(flights(b).Filter(notCancelled)) }},
		"map-values": {Define: func(b *topology.Builder) { out(flights(b).MapValues(strings.ToUpper)) }},
		"rekey":      {Define: func(b *topology.Builder) { out(flights(b).Rekey(carrier)) }},
		"repartition": {Define: func(b *topology.Builder) {
			out(flights(b).Rekey(carrier).Repartition("by-carrier", codecs.String, codecs.String))
		}},
		"fan-out": {Define: func(b *topology.Builder) {
			s := flights(b)
			out(s.MapValues(strings.ToUpper))
			out(s.MapValues(strings.ToLower))
			s.To("copy", codecs.String, codecs.String)
		}},
		"count": {Formats: counts, Define: func(b *topology.Builder) {
			outCount(flights(b).GroupByKey().Count("flights-by-carrier").ToStream())
		}},
		"group-by": {Formats: counts, Define: func(b *topology.Builder) {
			outCount(flights(b).GroupBy("by-carrier", carrier, codecs.String, codecs.String).Count("flights-by-carrier").ToStream())
		}},
		"aggregate": {Define: func(b *topology.Builder) {
			out(flights(b).GroupByKey().Aggregate("gates", none, join, codecs.String).ToStream())
		}},
		"aggregate-delete": {Define: func(b *topology.Builder) {
			gone := func(gates string) bool { return strings.HasSuffix(gates, "gone") }
			out(flights(b).GroupByKey().Aggregate("gates", none, join, codecs.String, topology.DeleteWhen(gone)).ToStream())
		}},
		"table-of": {Define: func(b *topology.Builder) {
			out(topology.TableOf(b, "flights", codecs.String, codecs.String).ToStream())
		}},
		"join-table": {Define: func(b *topology.Builder) {
			airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
			out(flights(b).JoinTable(airlines, withAirline))
		}},
		"windowed-count": {Formats: counts, Define: func(b *topology.Builder) {
			windows := topology.Tumbling(10 * time.Second).Grace(5 * time.Second)
			outCount(flights(b).GroupByKey().WindowedBy(windows).Count("flights-by-carrier").ToStream(inWindow))
		}},
		"windowed-aggregate": {Define: func(b *topology.Builder) {
			out(flights(b).GroupByKey().WindowedBy(topology.Tumbling(10*time.Second)).
				Aggregate("gates", none, join, codecs.String).ToStream(inWindow))
		}},
		"windowed-delete": {Define: func(b *topology.Builder) {
			gone := func(gates string) bool { return strings.HasSuffix(gates, "gone") }
			out(flights(b).GroupByKey().WindowedBy(topology.Tumbling(10*time.Second)).
				Aggregate("gates", none, join, codecs.String, topology.DeleteWhen(gone)).ToStream(inWindow))
		}},
		"filtered-windows": {Formats: counts, Define: func(b *topology.Builder) {
			outCount(flights(b).Filter(notCancelled).GroupByKey().WindowedBy(topology.Tumbling(10 * time.Second)).
				Count("flights-by-carrier").ToStream(inWindow))
		}},
		"retention": {Formats: counts, Define: func(b *topology.Builder) {
			windows := topology.Tumbling(10 * time.Second).Retention(30 * time.Second)
			outCount(flights(b).GroupByKey().WindowedBy(windows).Count("flights-by-carrier").ToStream(inWindow))
		}},
		"window-keys": {
			Formats: map[string]topologytest.Format{"out": {
				Key:   topologytest.TextOf(topology.TimeWindowedCodec(codecs.String, 10*time.Second)),
				Value: topologytest.TextOf(codecs.Int64),
			}},
			Define: func(b *topology.Builder) {
				flights(b).GroupByKey().WindowedBy(topology.Tumbling(10*time.Second)).Count("flights-by-carrier").
					ToStream(topology.WithWindow).
					To("out", topology.TimeWindowedCodec(codecs.String, 10*time.Second), codecs.Int64)
			},
		},
		"airport": {
			Define:  airport,
			Formats: map[string]topologytest.Format{"hourly-flights": number, "gate-uses": number},
		},
	}
	maps.Copy(all, statelessScenarios())
	maps.Copy(all, routingScenarios())
	maps.Copy(all, suppressScenarios())
	maps.Copy(all, idleScenarios())
	maps.Copy(all, sourceScenarios())
	maps.Copy(all, tableScenarios())
	maps.Copy(all, indexScenarios())
	maps.Copy(all, windowScenarios())
	maps.Copy(all, calendarScenarios())
	maps.Copy(all, watermarkScenarios())
	maps.Copy(all, streamJoinScenarios())
	maps.Copy(all, tableJoinScenarios())
	maps.Copy(all, foreignScenarios())
	maps.Copy(all, globalScenarios())
	maps.Copy(all, processorScenarios())
	return all
}

// airport is a topology with all operators, three sub-topologies and two repartitions.
func airport(b *topology.Builder) {
	airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
	s := flights(b)
	s.Filter(notCancelled, topology.Named("departed")).
		Rekey(carrier).Repartition("flights-by-carrier", codecs.String, codecs.String, topology.Partitions(4)).
		JoinTable(airlines, withAirline).
		GroupByKey().
		WindowedBy(topology.Tumbling(time.Hour).Grace(10*time.Minute)).
		Count("hourly-flights").
		ToStream(inWindow).
		MapValues(decimal).
		To("hourly", codecs.String, codecs.String)
	s.GroupBy("by-gate", func(_, gate string) string { return gate }, codecs.String, codecs.String).
		Count("gate-uses").
		ToStream().
		MapValues(decimal).
		To("gates", codecs.String, codecs.String)
}

func flights(b *topology.Builder) topology.Stream[string, string] {
	return topology.Source(b, "flights", codecs.String, codecs.String)
}

func out(s topology.Stream[string, string])     { s.To("out", codecs.String, codecs.String) }
func outCount(s topology.Stream[string, int64]) { s.To("out", codecs.String, codecs.Int64) }

func notCancelled(_, value string) bool          { return value != "cancelled" }
func carrier(flight, _ string) string            { return flight[:min(2, len(flight))] }
func withAirline(flight, airline string) string  { return flight + " of " + airline }
func inWindow(key string, w state.Window) string { return fmt.Sprintf("%s@%d/%d", key, w.Start, w.End) }
func decimal(n int64) string                     { return strconv.FormatInt(n, 10) }
func none() string                               { return "" }

func join(_, value, all string) string {
	if all == "" {
		return value
	}
	return all + "+" + value
}
