package topology_test

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func ExamplePartitionBy() {
	d := driver(func(b *topology.Builder) {
		byCarrier := func(r topology.Record[string, string], partitions int32) int32 {
			return topology.Partition([]byte(r.Key[:2]), partitions) // all flights of a carrier together
		}
		flights(b).To("out", codecs.String, codecs.String, topology.PartitionBy(byCarrier))
	}, topologytest.TopicPartitions("out", 8))
	in := topologytest.Input(d, "flights", codecs.String, codecs.String)
	in.Pipe("KL1001", "boarding", 1)
	in.Pipe("KL1002", "boarding", 2)
	for partition, records := range topologytest.Output(d, "out", codecs.String, codecs.String).DrainPartitions() {
		fmt.Println(partition, len(records))
	}
	// Output:
	// 2 2
}

func ExampleMulticast() {
	d := driver(func(b *topology.Builder) {
		everywhere := func(_ topology.Record[string, string], partitions int32, send func(partition int32)) {
			for p := range partitions {
				send(p)
			}
		}
		flights(b).To("out", codecs.String, codecs.String, topology.Multicast(everywhere))
	}, topologytest.TopicPartitions("out", 3))
	topologytest.Input(d, "flights", codecs.String, codecs.String).Pipe("KL1001", "cancelled", 1)
	fmt.Println(len(topologytest.Output(d, "out", codecs.String, codecs.String).Drain()))
	// Output:
	// 3
}

func ExampleStream_ToDynamic() {
	run(func(b *topology.Builder) {
		flights(b).ToDynamic(func(r topology.Record[string, string]) string {
			if r.Value == "cancelled" {
				return "rebooking"
			}
			return "out"
		}, codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding", "flights KL1003 cancelled")
	// Output:
	// KL1001 -> boarding @1000
}
