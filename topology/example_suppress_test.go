package topology_test

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func ExampleTable_Suppress() {
	run(func(b *topology.Builder) {
		topology.TableOf(b, "gates", codecs.String, codecs.String).
			Suppress("settled-gates", topology.UntilTimeLimit(3*time.Second)).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "gates KL1001 D1", "gates KL1001 D2", "gates LH400 B7", "gates KL1001 D3", "gates LH400 B8", "gates LH400 B9")
	// Output:
	// KL1001 -> D3 @4000
	// LH400 -> B9 @6000
}

func ExampleSuppression_MaxRecords() {
	run(func(b *topology.Builder) {
		topology.TableOf(b, "gates", codecs.String, codecs.String).
			Suppress("settled-gates", topology.UntilTimeLimit(time.Hour).MaxRecords(2)).
			ToStream().To("out", codecs.String, codecs.String)
	}, codecs.String, "gates KL1001 D1", "gates LH400 B7", "gates KL1001 D2", "gates BA2 C1")
	// Output:
	// KL1001 -> D2 @3000
}
