package topology_test

import (
	"testing"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func TestSuppress_refuses(t *testing.T) {
	gates := func(b *topology.Builder) topology.Table[string, string] {
		return topology.TableOf(b, "gates", codecs.String, codecs.String)
	}
	testRefusals(t, []refusal{
		{name: "no name", define: func(b *topology.Builder) {
			gates(b).Suppress("", topology.UntilTimeLimit(time.Second))
		}, want: []string{
			`suppress "": name is empty; choose one, it becomes part of the names of topics and stores`,
		}},
		{name: "windows of a table that has none", define: func(b *topology.Builder) {
			gates(b).Suppress("s", topology.UntilWindowCloses())
		}, want: []string{
			`suppress "s": UntilWindowCloses is for windowed tables, and this one has no windows; use UntilTimeLimit`,
		}},
		{name: "windows without grace", define: func(b *topology.Builder) {
			counts := flights(b).GroupByKey().WindowedBy(topology.Tumbling(time.Second)).Count("counts")
			counts.Suppress("final", topology.UntilWindowCloses())
			counts.MapValues(decimal).Suppress("texts", topology.UntilTimeLimit(time.Second))
		}, want: []string{
			`suppress "final": the windows have no grace, which decides when a result is final; set it with Grace, Grace(0) if no late record counts`,
			`suppress "texts": it is not known how the values of the table are encoded; suppress it before they are mapped`,
		}},
		{name: "bad limits", define: func(b *topology.Builder) {
			gates(b).Suppress("a", topology.UntilTimeLimit(-time.Second))
			gates(b).Suppress("b", topology.UntilTimeLimit(time.Microsecond).MaxRecords(0).MaxBytes(-1))
			gates(b).Suppress("c", topology.UntilTimeLimit(time.Second).StopWhenFull())
		}, want: []string{
			`suppress "a": the time limit of -1s is negative`,
			`source: topic "gates" is read at PLACE already; use that stream or table again`,
			`table: the name "gates" is taken by the table at PLACE; choose one with topology.Named`,
			`suppress "b": the buffer is bounded to 0 records; want at least 1`,
			`suppress "b": the buffer is bounded to -1 bytes; want at least 1`,
			`suppress "b": the time limit of 1µs is not a whole number of milliseconds`,
			`source: topic "gates" is read at PLACE already; use that stream or table again`,
			`table: the name "gates" is taken by the table at PLACE; choose one with topology.Named`,
			`suppress "c": StopWhenFull needs a bound; set one with MaxRecords or MaxBytes`,
		}},
	})
}
