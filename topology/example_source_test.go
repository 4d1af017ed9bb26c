package topology_test

import (
	"fmt"
	"strconv"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func ExampleTimestampOf() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String,
			topology.TimestampOf(func(r topology.Record[string, string], partitionTime int64) int64 {
				seconds, err := strconv.ParseInt(r.Value, 10, 64)
				if err != nil {
					return partitionTime
				}
				return seconds * 1000
			})).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 soon", "flights KL1001 77", "flights KL1002 later")
	// Output:
	// KL1001 -> 77 @77000
	// KL1002 -> later @77000
	// dropped: negative-timestamp by source-flights
}

func ExampleOrPartitionTime() {
	run(func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.String, codecs.String, topology.TimestampOf(topology.OrPartitionTime[string, string])).
			To("out", codecs.String, codecs.String)
	}, codecs.String, "flights KL1001 boarding")
	// Output:
	// KL1001 -> boarding @1000
}

func ExampleFromLast() {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String, topology.FromLast(24*time.Hour)).
		To("out", codecs.String, codecs.String)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(top.SubTopologies()[0].Inputs()[0].Start.Age)
	// Output:
	// 24h0m0s
}
