package topology_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

type (
	processor = topology.Processor[string, string]
	scope     = *topology.ProcessorContext[string, string]
)

// processorScenarios are those of the scripts about processors.
func processorScenarios() map[string]topologytest.Scenario {
	counts := map[string]topologytest.Format{"counts": {Value: topologytest.TextOf(codecs.Int64)}}
	return map[string]topologytest.Scenario{
		"process": {Define: func(b *topology.Builder) {
			out(flights(b).Process("gates", func(p scope) (processor, error) {
				return func(_ context.Context, r record) error {
					at, _ := p.Metadata()
					for gate := range strings.FieldsSeq(r.Value) {
						p.Forward(record{Key: gate, Value: fmt.Sprintf("%s of %s/%d", r.Key, at.Topic, at.Offset), Timestamp: r.Timestamp + 1})
					}
					if r.NullValue {
						p.Forward(r)
					}
					return nil
				}, nil
			}))
		}},
		"process-values": {Define: func(b *topology.Builder) {
			seen := topology.KeyValueStore(b, "seen", codecs.String, codecs.String)
			out(flights(b).ProcessValues("changes", func(p *topology.ValuesContext[string]) (processor, error) {
				last := seen.In(p)
				return func(_ context.Context, r record) error {
					if r.NullKey {
						return nil
					}
					before, _, ok, err := last.Get(r.Key)
					if err != nil || ok && before == r.Value {
						return err
					}
					p.Forward(before + ">" + r.Value)
					return last.Put(r.Key, r.Value, r.Timestamp)
				}, nil
			}).GroupByKey().Aggregate("all", none, join, codecs.String).ToStream())
		}},
		"process-children": {Define: func(b *topology.Builder) {
			sorted := flights(b).Process("sort", func(p scope) (processor, error) {
				early, late := p.Child("early"), p.Child("late")
				return func(_ context.Context, r record) error {
					if r.Timestamp < p.StreamTime() {
						late.Forward(r)
					} else {
						early.Forward(r)
					}
					if r.Value == "all" {
						p.Forward(r)
					}
					return nil
				}, nil
			})
			out(sorted.MapValues(strings.ToUpper, topology.Named("early")))
			sorted.To("too-late", codecs.String, codecs.String, topology.Named("late"))
		}},
		"punctuate": {Formats: counts, Define: func(b *topology.Builder) {
			out(flights(b).Process("ticks", ticks(topology.StreamTime, 10*time.Second, b)))
		}},
		"punctuate-wall-clock": {Formats: counts, Define: func(b *topology.Builder) {
			out(flights(b).Process("ticks", ticks(topology.WallClock, 10*time.Second, b)))
		}},
		"shared-store": {Define: func(b *topology.Builder) {
			gates := topology.KeyValueStore(b, "gates", codecs.String, codecs.String)
			flights(b).Process("gate-of", func(p scope) (processor, error) {
				rows := gates.In(p)
				return func(_ context.Context, r record) error { return rows.Put(r.Key, r.Value, r.Timestamp) }, nil
			})
			out(topology.Source(b, "questions", codecs.String, codecs.String).Process("answer", func(p scope) (processor, error) {
				rows := gates.In(p)
				return func(_ context.Context, r record) error {
					gate, at, _, err := rows.Get(r.Key)
					r.Value = fmt.Sprintf("%s since %d", gate, at)
					p.Forward(r)
					return err
				}, nil
			}))
		}},
		"expiring-store": {Define: func(b *topology.Builder) {
			recent := topology.ExpiringStore(b, "recent", 10*time.Second, codecs.String, codecs.String)
			out(flights(b).ProcessValues("dedupe", func(p *topology.ValuesContext[string]) (processor, error) {
				rows := recent.In(p)
				return func(_ context.Context, r record) error {
					if _, _, seen, err := rows.Get(r.Key + r.Value); err != nil || seen {
						return err
					}
					p.Forward(r.Value)
					return rows.Put(r.Key+r.Value, "", r.Timestamp)
				}, nil
			}))
		}},
		"timed-stores": {Define: timedStores},
		"table-rows": {Define: func(b *topology.Builder) {
			airlines := topology.TableOf(b, "airlines", codecs.String, codecs.String)
			out(flights(b).Process("lookup", func(p scope) (processor, error) {
				rows := airlines.In(p)
				return func(_ context.Context, r record) error {
					name, _, ok, err := rows.Get(carrier(r.Key, ""))
					if ok {
						r.Value += " of " + name
					}
					p.Forward(r)
					return err
				}, nil
			}))
		}},
		"process-async": {Define: func(b *topology.Builder) {
			out(flights(b).ProcessAsync("lookup", 4, lookUp).GroupByKey().Aggregate("all", none, join, codecs.String).ToStream())
		}},
		"failing-punctuation": {Define: func(b *topology.Builder) {
			out(flights(b).Process("ticks", func(p scope) (processor, error) {
				p.Schedule(5*time.Second, topology.WallClock, func(_ context.Context, now int64) error {
					if now == 5000 {
						return fmt.Errorf("refused %d", now)
					}
					p.Forward(record{Key: "tick", Timestamp: now})
					return nil
				})
				return func(_ context.Context, r record) error { p.Forward(r); return nil }, nil
			}))
		}},
	}
}

// ticks forwards the records and, at each punctuation, the number of records so far.
func ticks(of topology.PunctuationType, every time.Duration, b *topology.Builder) func(p scope) (processor, error) {
	counts := topology.KeyValueStore(b, "counts", codecs.String, codecs.Int64)
	return func(p scope) (processor, error) {
		count := counts.In(p)
		cancel := func() {}
		cancel = p.Schedule(every, of, func(_ context.Context, now int64) error {
			n, _, _, err := count.Get("n")
			p.Forward(record{Key: "tick", Value: fmt.Sprint(n), Timestamp: now})
			if n > 100 {
				cancel()
			}
			return err
		})
		return func(_ context.Context, r record) error {
			n, _, _, err := count.Get("n")
			if err != nil {
				return err
			}
			if r.Value == "enough" {
				n = 100
			}
			p.Forward(r)
			return count.Put("n", n+1, r.Timestamp)
		}, nil
	}
}

// timedStores shows how many rows of a key are left in stores whose rows expire.
func timedStores(b *topology.Builder) {
	windows := topology.WindowStore(b, "windows", 5*time.Second, 20*time.Second, codecs.String, codecs.String)
	sessions := topology.SessionStore(b, "sessions", 20*time.Second, codecs.String, codecs.String)
	versions := topology.VersionedStore(b, "versions", 20*time.Second, codecs.String, codecs.String)
	out(flights(b).ProcessValues("history", func(p *topology.ValuesContext[string]) (processor, error) {
		inWindows, inSessions, inVersions := windows.In(p), sessions.In(p), versions.In(p)
		return func(_ context.Context, r record) error {
			if r.NullKey {
				return nil
			}
			n, m := 0, 0
			for _, err := range inWindows.Fetch(r.Key, 0, 1<<40) {
				if err != nil {
					return err
				}
				n++
			}
			for _, err := range inSessions.FindSessions(r.Key, 0, 1<<40) {
				if err != nil {
					return err
				}
				m++
			}
			before, _, ok, err := inVersions.GetAsOf(r.Key, r.Timestamp-10_000)
			if err != nil && !errors.Is(err, state.ErrTooOld) {
				return err
			}
			p.Forward(fmt.Sprintf("%d windows, %d sessions, %t %q", n, m, ok, before))
			if err := inWindows.Put(r.Key, r.Timestamp/5000*5000, r.Value, r.Timestamp); err != nil {
				return err
			}
			if err := inSessions.Put(r.Key, state.Session{Start: r.Timestamp, End: r.Timestamp}, r.Value, r.Timestamp); err != nil {
				return err
			}
			if err := inVersions.Put(r.Key, r.Value, r.Timestamp); err != nil && !errors.Is(err, state.ErrTooOld) {
				return err
			}
			return nil
		}, nil
	}))
}

// lookUp refuses what is gone.
func lookUp(_ context.Context, r record) (string, error) {
	if r.Value == "gone" {
		return "", fmt.Errorf("no flight %s", r.Key)
	}
	return fmt.Sprintf("%s@%d", strings.ToUpper(r.Value), r.Timestamp), nil
}
