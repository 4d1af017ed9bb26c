package topology_test

import (
	"testing"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestBuild_refusesSources(t *testing.T) {
	str := codecs.String
	testRefusals(t, []refusal{
		{name: "options", define: func(b *topology.Builder) {
			numbers := topology.TimestampOf(func(topology.Record[string, int64], int64) int64 { return 0 })
			topology.Source(b, "a", str, str, numbers)
			topology.TableOf(b, "b", str, str, numbers)
			topology.Source(b, "c", str, str, topology.TimestampOf[string, string](nil), nil)
			topology.TableOf(b, "d", str, str, nil)
			topology.Source(b, "e", str, str, topology.FromLast(0))
		}, want: []string{
			"source: TimestampOf is for records of type topology.Record[string,int64], and the source has topology.Record[string,string]",
			"source: TimestampOf is for records of type topology.Record[string,int64], and the source has topology.Record[string,string]",
			"source: option is nil",
			"source: the function of TimestampOf is nil",
			"table: option is nil",
			"source: FromLast of 0s; want more than 0",
		}},
	})
}
