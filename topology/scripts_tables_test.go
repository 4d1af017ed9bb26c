package topology_test

import (
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// tableScenarios are the scenarios of operators on tables. Their input tables are "left" and "right".
func tableScenarios() map[string]topologytest.Scenario {
	number := topologytest.Format{Value: topologytest.TextOf(codecs.Int64)}
	text := codecs.String
	return map[string]topologytest.Scenario{
		"table-group-count": {
			Formats: map[string]topologytest.Format{"out": number, "carriers": number},
			Define: func(b *topology.Builder) {
				outCount(leftTable(b).GroupBy("by-value", byValue, text, text).Count("carriers").ToStream())
			},
		},
		"table-group-reduce": {Define: func(b *topology.Builder) {
			minus := func(all, value string) string { return all + "-" + value }
			gone := func(all string) bool { return len(all) > 12 }
			out(leftTable(b).GroupBy("by-value", byValue, text, text).
				Reduce("keys", both, minus, topology.DeleteWhen(gone)).ToStream())
		}},
		// The example of upstream's documentation: the lengths of the names of all users of a region.
		"table-group-aggregate": {
			Formats: map[string]topologytest.Format{"out": number, "lengths": number},
			Define: func(b *topology.Builder) {
				byRegion := func(user, region string) (string, int64) { return region, int64(len(user)) }
				add := func(_ string, n, sum int64) int64 { return sum + n }
				subtract := func(_ string, n, sum int64) int64 { return sum - n }
				zero := func() int64 { return 0 }
				outCount(leftTable(b).GroupBy("by-region", byRegion, text, codecs.Int64).
					Aggregate("lengths", zero, add, subtract, codecs.Int64).ToStream())
			},
		},
		// How many keys have each count, and how many keys there are.
		"table-group-counts": {
			Formats: map[string]topologytest.Format{"out": number, "counts": number},
			Define: func(b *topology.Builder) {
				counts := flights(b).GroupByKey().Count("counts")
				byCount := func(key string, n int64) (string, string) { return decimal(n), key }
				all := func(key string, _ int64) (string, string) { return "all", key }
				outCount(counts.GroupBy("by-count", byCount, text, text).Count("keys-by-count").ToStream())
				outCount(counts.GroupBy("of-all", all, text, text).Count("keys").ToStream())
			},
		},
		"table-ttl": {Define: func(b *topology.Builder) {
			out(leftTable(b, topology.TTL(10*time.Second)).ToStream())
		}},
		// Operators downstream of a table with a TTL see the rows expire.
		"table-ttl-below": {Define: func(b *topology.Builder) {
			left := leftTable(b, topology.TTL(10*time.Second))
			out(left.LeftJoin(rightTable(b), perhaps).ToStream())
			out(flights(b).JoinTable(left, both))
			left.GroupBy("by-value", byValue, text, text).Count("carriers").ToStream().
				To("counts", text, codecs.Int64)
		}, Formats: map[string]topologytest.Format{"carriers": number, "counts": number}},
		"table-ttl-kept": {Define: func(b *topology.Builder) {
			out(leftTable(b).Materialize("kept", text, topology.TTL(10*time.Second)).ToStream())
			out(flights(b).ToTable("flight-table", text, topology.TTL(10*time.Second)).ToStream())
		}},
		"count-ttl": {
			Formats: map[string]topologytest.Format{"out": number, "flights-by-carrier": number},
			Define: func(b *topology.Builder) {
				outCount(flights(b).GroupByKey().Count("flights-by-carrier", topology.TTL(10*time.Second)).ToStream())
			},
		},
		"aggregate-ttl": {Define: func(b *topology.Builder) {
			out(flights(b).GroupByKey().Aggregate("gates", none, join, text, topology.TTL(10*time.Second)).ToStream())
		}},
		"aggregate-versioned": {Define: func(b *topology.Builder) {
			gone := func(gates string) bool { return strings.HasSuffix(gates, "gone") }
			out(flights(b).GroupByKey().
				Aggregate("gates", none, join, text, topology.DeleteWhen(gone), topology.Versioned(30*time.Second)).ToStream())
		}},
		"table-group-ttl": {Define: func(b *topology.Builder) {
			minus := func(all, value string) string { return all + "-" + value }
			out(leftTable(b).GroupBy("by-value", byValue, text, text).
				Reduce("keys", both, minus, topology.TTL(10*time.Second)).ToStream())
		}},
		"table-group-versioned": {
			Formats: map[string]topologytest.Format{"out": number},
			Define: func(b *topology.Builder) {
				outCount(leftTable(b, topology.Versioned(30*time.Second)).
					GroupBy("by-value", byValue, text, text).Count("carriers").ToStream())
			},
		},
		"table-versioned": {Define: func(b *topology.Builder) {
			out(leftTable(b, topology.Versioned(30*time.Second)).ToStream())
		}},
		"table-filter": {Define: func(b *topology.Builder) {
			out(leftTable(b).Filter(notCancelled).ToStream())
		}},
		"table-filter-not": {Define: func(b *topology.Builder) {
			out(leftTable(b).FilterNot(notCancelled).ToStream())
		}},
		"table-filter-versioned": {Define: func(b *topology.Builder) {
			out(leftTable(b, topology.Versioned(30*time.Second)).Filter(notCancelled).
				Materialize("kept", codecs.String, topology.Versioned(30*time.Second)).ToStream())
		}},
		"table-map-values": {Define: func(b *topology.Builder) {
			withKey := func(key, value string) string { return key + ":" + value }
			out(leftTable(b).MapValues(strings.ToUpper).MapValuesWithKey(withKey).Filter(notCancelled).ToStream())
		}},
		"table-materialize": {Define: func(b *topology.Builder) {
			out(leftTable(b).MapValues(strings.ToUpper).Materialize("loud", codecs.String).ToStream())
		}},
		"to-table": {Define: func(b *topology.Builder) {
			out(flights(b).ToTable("latest", codecs.String).ToStream())
		}},
		"table-join": {Define: func(b *topology.Builder) {
			out(leftTable(b).Join(rightTable(b), both).ToStream())
		}},
		"table-left-join": {Define: func(b *topology.Builder) {
			out(leftTable(b).LeftJoin(rightTable(b), perhaps).ToStream())
		}},
		"table-outer-join": {Define: func(b *topology.Builder) {
			out(leftTable(b).OuterJoin(rightTable(b), either).ToStream())
		}},
		"table-join-versioned": {Define: func(b *topology.Builder) {
			history := topology.Versioned(30 * time.Second)
			out(leftTable(b, history).OuterJoin(rightTable(b, history), either).ToStream())
		}},
		// An operator that joins with a table without a store computes its rows.
		"table-computed": {Define: func(b *topology.Builder) {
			left, right := leftTable(b).Filter(notCancelled).MapValues(strings.ToUpper), rightTable(b)
			joined := left.LeftJoin(right, perhaps).Filter(notCancelled)
			out(flights(b).JoinTable(joined, both))
			out(joined.OuterJoin(right, either).ToStream())
		}},
	}
}

func byValue(key, value string) (string, string) { return value, key }

func leftTable(b *topology.Builder, opts ...topology.TableOption) topology.Table[string, string] {
	return topology.TableOf(b, "left", codecs.String, codecs.String, opts...)
}

func rightTable(b *topology.Builder, opts ...topology.TableOption) topology.Table[string, string] {
	return topology.TableOf(b, "right", codecs.String, codecs.String, opts...)
}

func both(left, right string) string            { return left + "+" + right }
func perhaps(left string, right *string) string { return both(left, orNone(right)) }
func either(left *string, right *string) string { return both(orNone(left), orNone(right)) }

func orNone(value *string) string {
	if value == nil {
		return "none"
	}
	return *value
}
