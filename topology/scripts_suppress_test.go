package topology_test

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
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
		"suppress-join": {Define: func(b *topology.Builder) {
			airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String).
				Suppress("held", topology.UntilTimeLimit(6*time.Second))
			out(flights(b).JoinTable(airlines, withAirline))
		}},
	}
}
