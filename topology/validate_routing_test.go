package topology_test

import (
	"testing"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestBuild_refusesRouting(t *testing.T) {
	str := codecs.String
	var noCodec codecs.Codec[string]
	testRefusals(t, []refusal{
		{name: "functions", define: func(b *topology.Builder) {
			s := flights(b)
			s.To("out", str, str, topology.PartitionBy[string, string](nil))
			s.To("out", str, str, topology.Multicast[string, string](nil), nil)
			s.ToDynamic(nil, noCodec, noCodec)
			s.Repartition("r", str, str, topology.PartitionBy[string, string](nil))
		}, want: []string{
			"sink: the function of PartitionBy is nil",
			"sink: option is nil",
			"sink: the function of Multicast is nil",
			"dynamic-sink: the function is nil", "dynamic-sink: the key codec is nil", "dynamic-sink: the value codec is nil",
			`repartition "r": the function of PartitionBy is nil`,
		}},
		{name: "types", define: func(b *topology.Builder) {
			s := flights(b)
			numbers := topology.PartitionBy(func(topology.Record[string, int64], int32) int32 { return 0 })
			s.To("out", str, str, numbers)
			s.GroupBy("g", carrier, str, str, numbers)
		}, want: []string{
			"sink: PartitionBy is for records of type topology.Record[string,int64], and the stream has topology.Record[string,string]",
			`group-by "g": PartitionBy is for records of type topology.Record[string,int64], and the stream has topology.Record[string,string]`,
		}},
	})
}
