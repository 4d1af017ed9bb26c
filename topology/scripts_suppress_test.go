package topology_test

import (
	"strconv"
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func suppressScenarios() map[string]topologytest.Scenario {
	held := func(until topology.Suppression) topologytest.Scenario {
		return topologytest.Scenario{Define: func(b *topology.Builder) {
			out(topology.TableOf(b, "flights", codecs.String, codecs.String).Suppress("held", until).ToStream())
		}}
	}
	return map[string]topologytest.Scenario{
		"suppress":       held(topology.UntilTimeLimit(6 * time.Second)),
		"suppress-none":  held(topology.UntilTimeLimit(0)),
		"suppress-two":   held(topology.UntilTimeLimit(time.Minute).MaxRecords(2)),
		"suppress-bytes": held(topology.UntilTimeLimit(time.Minute).MaxBytes(60)),
		"suppress-stop":  held(topology.UntilTimeLimit(time.Minute).MaxRecords(2).StopWhenFull()),
		"suppress-windows": {Define: func(b *topology.Builder) {
			windows := topology.Tumbling(10 * time.Second).Grace(5 * time.Second)
			gone := func(gates string) bool { return strings.HasSuffix(gates, "gone") }
			out(flights(b).GroupByKey().WindowedBy(windows).
				Aggregate("gates", none, join, codecs.String, topology.DeleteWhen(gone)).
				Suppress("final", topology.UntilWindowCloses()).ToStream(inWindow))
		}},
		"suppress-windows-limit": {Define: func(b *topology.Builder) {
			out(flights(b).GroupByKey().WindowedBy(topology.Tumbling(10*time.Second)).Aggregate("gates", none, join, codecs.String).
				Suppress("settled", topology.UntilTimeLimit(3*time.Second)).ToStream(inWindow))
		}},
		"suppress-sessions": {Define: func(b *topology.Builder) {
			merge := func(_, a, b string) string { return join("", b, a) }
			out(flights(b).GroupByKey().WindowedBySessions(topology.Sessions(5*time.Second).Grace(2*time.Second)).
				Aggregate("gates", none, join, merge, codecs.String).Filter(notGone).
				Suppress("final", topology.UntilWindowCloses()).ToStream(inWindow))
		}},
		"suppress-windows-group": {Define: func(b *topology.Builder) {
			windows := topology.Tumbling(10 * time.Second).Grace(0)
			final := flights(b).GroupByKey().WindowedBy(windows).Aggregate("gates", none, join, codecs.String).
				Suppress("final", topology.UntilWindowCloses())
			out(topology.KeyedByWindow(final).GroupBy("by-start", byStart, codecs.String, codecs.String).
				Reduce("starts", grown, shrunk).ToStream())
		}},
		"suppress-join": {Define: func(b *topology.Builder) {
			airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String).
				Suppress("held", topology.UntilTimeLimit(6*time.Second))
			out(flights(b).JoinTable(airlines, withAirline))
		}},
	}
}

func notGone(_ string, _ state.Window, value string) bool { return !strings.HasSuffix(value, "gone") }

func byStart(w topology.Windowed[string], value string) (string, string) {
	return strconv.FormatInt(w.Window.Start, 10), value
}

func grown(all, value string) string  { return all + "+" + value }
func shrunk(all, value string) string { return all + "-" + value }
