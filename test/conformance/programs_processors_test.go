package conformance_test

import (
	"context"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
)

func processorPrograms() map[string]program {
	return map[string]program{
		"punctuate-stream-time": func(b *topology.Builder) { out(source(b, "a").Process("punctuate", ticking(b, topology.StreamTime))) },
		"punctuate-wall-clock":  func(b *topology.Builder) { out(source(b, "a").Process("punctuate", ticking(b, topology.WallClock))) },
		"dedupe-store":          dedupe,
	}
}

// ticking counts records and forwards the number every five seconds. The number is in a store, and not in a variable as
// in Oracle.java, which is never restarted.
func ticking(
	b *topology.Builder, of topology.PunctuationType,
) func(p *topology.ProcessorContext[string, string]) (topology.Processor[string, string], error) {
	counts := topology.KeyValueStore(b, "n", codecs.String, codecs.Int64)
	return func(p *topology.ProcessorContext[string, string]) (topology.Processor[string, string], error) {
		count := counts.In(p)
		p.Schedule(5*time.Second, of, func(_ context.Context, now int64) error {
			n, _, _, err := count.Get("n")
			p.Forward(record{Key: "tick", Value: str(n), Timestamp: now})
			return err
		})
		return func(_ context.Context, r record) error {
			n, _, _, err := count.Get("n")
			if err != nil {
				return err
			}
			p.Forward(r)
			return count.Put("n", n+1, r.Timestamp)
		}, nil
	}
}

func dedupe(b *topology.Builder) {
	seen := topology.KeyValueStore(b, "d", codecs.String, codecs.Int64)
	out(source(b, "a").ProcessValues("dedupe", func(p *topology.ValuesContext[string]) (topology.Processor[string, string], error) {
		rows := seen.In(p)
		return func(_ context.Context, r record) error {
			last, _, ok, err := rows.Get(r.Key + r.Value)
			if err != nil {
				return err
			}
			if !ok || max(r.Timestamp-last, last-r.Timestamp) > 8000 {
				p.Forward(r.Value)
			}
			return rows.Put(r.Key+r.Value, r.Timestamp, r.Timestamp)
		}, nil
	}))
}
