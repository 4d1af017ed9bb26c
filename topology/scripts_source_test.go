package topology_test

import (
	"strconv"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

// sourceScenarios are those of the options of sources.
func sourceScenarios() map[string]topologytest.Scenario {
	return map[string]topologytest.Scenario{
		"timestamp-of": {Define: func(b *topology.Builder) {
			out(topology.Source(b, "flights", codecs.String, codecs.String, topology.TimestampOf(timeInValue)))
		}},
		"timestamp-of-table": {Define: func(b *topology.Builder) {
			out(topology.TableOf(b, "flights", codecs.String, codecs.String, topology.TimestampOf(timeInValue), topology.Named("rows")).ToStream())
		}},
		"partition-time": {Define: func(b *topology.Builder) {
			out(topology.Source(b, "flights", codecs.String, codecs.String, topology.TimestampOf(topology.OrPartitionTime[string, string])))
		}},
	}
}

// timeInValue is the number that the value is, or else the time of the partition.
func timeInValue(r textRecord, partitionTime int64) int64 {
	if r.Value == "bad" {
		panic("no such status")
	}
	if n, err := strconv.ParseInt(r.Value, 10, 64); err == nil {
		return n
	}
	return partitionTime
}
