package topology_test

import (
	"strconv"
	"strings"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// routingScenarios are the scenarios of records that choose where they go.
func routingScenarios() map[string]topologytest.Scenario {
	number := topologytest.Format{Value: topologytest.TextOf(codecs.Int64)}
	return map[string]topologytest.Scenario{
		"partition-by": {Define: func(b *topology.Builder) {
			flights(b).To("out", codecs.String, codecs.String, topology.PartitionBy(inValue), topology.Named("placed"))
		}},
		"multicast": {Define: func(b *topology.Builder) {
			flights(b).To("out", codecs.String, codecs.String, topology.Multicast(inValues))
		}},
		"repartition-by": {Formats: map[string]topologytest.Format{"out": number}, Define: func(b *topology.Builder) {
			outCount(flights(b).
				GroupBy("by-carrier", carrier, codecs.String, codecs.String, topology.PartitionBy(inValue)).
				Count("n").ToStream())
		}},
		"to-dynamic": {Define: func(b *topology.Builder) {
			s := flights(b)
			s.ToDynamic(func(r textRecord) string { return r.Value }, codecs.String, codecs.String,
				topology.Named("route"), topology.PartitionBy(func(_ textRecord, n int32) int32 { return n - 1 }))
			s.GroupBy("by-carrier", carrier, codecs.String, codecs.String).Count("n")
		}},
	}
}

// inValue is the partition that the value names; none is the default.
func inValue(r textRecord, _ int32) int32 {
	n, err := strconv.ParseInt(r.Value, 10, 32)
	if err != nil {
		return topology.DefaultPartition
	}
	return int32(n)
}

func inValues(r textRecord, n int32, send func(int32)) {
	for part := range strings.SplitSeq(r.Value, "+") {
		if part != "none" {
			send(inValue(textRecord{Value: part}, n))
		}
	}
}
