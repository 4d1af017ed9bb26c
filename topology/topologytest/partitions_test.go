package topologytest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func ExamplePartitions() {
	b := topology.NewBuilder("airport")
	topology.Source(b, "flights", codecs.String, codecs.String).
		GroupByKey().Count("updates").ToStream().To("counts", codecs.String, codecs.Int64)
	top, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	d := topologytest.NewDriver(topologytest.Example(), top, topologytest.Partitions(3))
	flights := topologytest.Input(d, "flights", codecs.String, codecs.String)
	counts := topologytest.Output(d, "counts", codecs.String, codecs.Int64)

	for i, carrier := range []string{"KL", "BA", "TP", "KL"} {
		flights.Pipe(carrier, "boarding", int64(i))
	}
	partitions := counts.DrainPartitions()
	for partition := range int32(3) {
		for _, r := range partitions[partition] {
			fmt.Println("partition", partition, r.Key, r.Value)
		}
	}
	for _, row := range topologytest.Rows(d, "updates", codecs.String, codecs.Int64) {
		fmt.Println("row", row.Key, row.Value)
	}
	// Output:
	// partition 0 TP 1
	// partition 1 KL 1
	// partition 1 KL 2
	// partition 2 BA 1
	// row BA 1
	// row KL 2
	// row TP 1
}

var carriers = []string{"AF", "BA", "KL", "LH", "SK", "TP"}

// carrierOf is the carrier of a flight: the first two letters.
func carrierOf(flight, _ string) string { return flight[:2] }

// joined counts the flights of each carrier, and joins them with the carriers' names.
func joined(b *topology.Builder) {
	names := topology.TableOf(b, "names", codecs.String, codecs.String)
	flights := topology.Source(b, "flights", codecs.String, codecs.String).
		Rekey(carrierOf).Repartition("by-carrier", codecs.String, codecs.String)
	flights.GroupByKey().Count("n").ToStream().To("counts", codecs.String, codecs.Int64)
	flights.JoinTable(names, func(v, name string) string { return name + " " + v }).To("named", codecs.String, codecs.String)
}

func TestPartitions_repartitionAndJoin(t *testing.T) {
	for name, interrupt := range map[string]func(d *topologytest.Driver){
		"undisturbed": func(*topologytest.Driver) {},
		"restart":     (*topologytest.Driver).Restart,
		"crash":       (*topologytest.Driver).Crash,
		"restore":     (*topologytest.Driver).Restore,
		"commit":      (*topologytest.Driver).Commit,
	} {
		t.Run(name, func(t *testing.T) {
			d := topologytest.NewDriver(t, build(t, joined),
				topologytest.Partitions(3), topologytest.CommitEvery(4), topologytest.CacheBytes(1))
			names := topologytest.Input(d, "names", codecs.String, codecs.String)
			flights := topologytest.Input(d, "flights", codecs.String, codecs.String)
			named := topologytest.Output(d, "named", codecs.String, codecs.String)
			counts := topologytest.Output(d, "counts", codecs.String, codecs.Int64)
			inner := topologytest.Output(d, "airport-by-carrier-repartition", codecs.String, codecs.String)
			wantNamed, wantCounts := make(map[int32][]record), make(map[int32][]topology.Record[string, int64])
			var rows []state.Entry[string, int64]
			for i, carrier := range carriers {
				names.Pipe(carrier, "the "+carrier, int64(i))
			}
			for n := range int64(2) {
				for i, carrier := range carriers {
					flights.Pipe(fmt.Sprint(carrier, n), "lands", 100*(n+1)+int64(i))
					interrupt(d)
					at, p := 100*(n+1)+int64(i), topology.Partition([]byte(carrier), 3)
					wantNamed[p] = append(wantNamed[p], record{Key: carrier, Value: "the " + carrier + " lands", Timestamp: at})
					wantCounts[p] = append(wantCounts[p], topology.Record[string, int64]{Key: carrier, Value: n + 1, Timestamp: at})
				}
			}
			for i, carrier := range carriers {
				rows = append(rows, state.Entry[string, int64]{Key: carrier, Value: 2, Timestamp: 200 + int64(i)})
			}
			require.Len(t, wantNamed, 3, "all partitions have something to do")
			require.Equal(t, wantNamed, named.DrainPartitions())
			require.Equal(t, wantCounts, counts.DrainPartitions())
			require.Len(t, inner.DrainPartitions(), 3)
			require.Equal(t, rows, topologytest.Rows(d, "n", codecs.String, codecs.Int64), "rows of all partitions in the order of keys")
			require.EqualValues(t, 205, d.StreamTime("flights"), "the largest of all tasks")
			require.Empty(t, d.Drops())
		})
	}
}

func TestPartitions_placeOfPipedRecords(t *testing.T) {
	for name, interrupt := range map[string]func(d *topologytest.Driver){
		"undisturbed": func(*topologytest.Driver) {}, "crash": (*topologytest.Driver).Crash,
	} {
		t.Run(name, func(t *testing.T) {
			d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
				topology.Source(b, "in", codecs.String, codecs.String).GroupByKey().Count("n")
			}), topologytest.Partitions(3), topologytest.CommitEvery(100))
			in := topologytest.Input(d, "in", codecs.String, codecs.String)
			for i := range int64(4) {
				in.PipeNullKey("v", i)
				interrupt(d)
			}
			in.PipeTo(2, record{Key: "k", NullValue: true})
			in.PipeTo(1, record{Key: "k", NullValue: true})
			interrupt(d)
			dropped := func(reason string, partition int32, offset, timestamp int64) engine.Drop {
				return engine.Drop{Node: "n", Reason: reason, Topic: "in", Partition: partition, Offset: offset, Timestamp: timestamp}
			}
			require.Equal(t, []engine.Drop{
				dropped(topology.DropNullKey, 0, 0, 0), dropped(topology.DropNullKey, 1, 0, 1), dropped(topology.DropNullKey, 2, 0, 2),
				dropped(topology.DropNullKey, 0, 1, 3), dropped(topology.DropNullValue, 2, 1, 0), dropped(topology.DropNullValue, 1, 1, 0),
			}, d.Drops())
			in.PipeTo(0, record{Key: "k", Timestamp: 7})
			in.PipeTo(1, record{Key: "k", Timestamp: 8})
			require.Equal(t, []state.Entry[string, int64]{{Key: "k", Value: 1, Timestamp: 7}, {Key: "k", Value: 1, Timestamp: 8}},
				topologytest.Rows(d, "n", codecs.String, codecs.Int64), "a key that is in two partitions is there twice")
		})
	}
}

// A record that leads to several tasks of the next sub-topology: the smallest timestamp first, then the first
// partition.
func TestPartitions_orderOfTasks(t *testing.T) {
	d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
		topology.Source(b, "in", codecs.String, codecs.String).
			FlatMapRecord(func(r topology.Record[string, string], emit func(topology.Record[string, string])) {
				for i, carrier := range carriers {
					r.Key, r.Timestamp = carrier, max(4, int64(len(carriers)-i))
					emit(r)
				}
			}).
			Repartition("pieces", codecs.String, codecs.String).To("out", codecs.String, codecs.String)
	}), topologytest.Partitions(3))
	topologytest.Input(d, "in", codecs.String, codecs.String).Pipe("k", "v", 1)
	var order []string
	for _, r := range topologytest.Output(d, "out", codecs.String, codecs.String).Drain() {
		order = append(order, fmt.Sprintf("%s@%d/%d", r.Key, r.Timestamp, topology.Partition([]byte(r.Key), 3)))
	}
	require.Equal(t, []string{"TP@4/0", "KL@4/1", "AF@6/2", "BA@5/2", "LH@4/2", "SK@4/2"}, order)
}

func TestPartitions_windowsSessionsVersions(t *testing.T) {
	d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
		grouped := topology.Source(b, "in", codecs.String, codecs.String).GroupByKey()
		grouped.WindowedBy(topology.Tumbling(time.Second).Retention(time.Minute)).Count("windows")
		grouped.WindowedBySessions(topology.Sessions(time.Second).Retention(time.Minute)).Count("sessions")
		topology.TableOf(b, "table", codecs.String, codecs.String, topology.Versioned(time.Minute))
	}), topologytest.Partitions(3))
	in, table := topologytest.Input(d, "in", codecs.String, codecs.String), topologytest.Input(d, "table", codecs.String, codecs.String)
	for _, carrier := range carriers {
		in.Pipe(carrier, "v", 10)
		table.Pipe(carrier, "old", 10)
		table.Pipe(carrier, "new", 20)
	}
	d.Restore()
	var windows, sessions, versions []string
	for _, row := range topologytest.Windows(d, "windows", codecs.String, codecs.Int64) {
		windows = append(windows, row.Key)
	}
	for _, row := range topologytest.Sessions(d, "sessions", codecs.String, codecs.Int64) {
		sessions = append(sessions, row.Key)
	}
	var want []string
	for _, row := range topologytest.Versions(d, "table", codecs.String, codecs.String) {
		versions = append(versions, row.Key+" "+row.Value)
	}
	for _, carrier := range carriers {
		want = append(want, carrier+" old", carrier+" new")
	}
	require.Equal(t, carriers, windows)
	require.Equal(t, carriers, sessions)
	require.Equal(t, want, versions)
}

// All tasks read the same copy of a global table, and see the wall clock.
func TestPartitions_globalsAndWallClock(t *testing.T) {
	d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
		names := topology.GlobalTableOf(b, "names", codecs.String, codecs.String)
		topology.Source(b, "in", codecs.String, codecs.String).
			JoinGlobal(names, func(_, v string) (string, bool) { return v, true }, func(_, name string) string { return name }).
			Process("ticks", func(p *topology.ProcessorContext[string, string]) (topology.Processor[string, string], error) {
				last := "nothing"
				p.Schedule(time.Second, topology.WallClock, func(_ context.Context, now int64) error {
					p.Forward(record{Key: last, Value: "tick", Timestamp: now})
					return nil
				})
				return func(_ context.Context, r record) error {
					last = r.Key
					p.Forward(r)
					return nil
				}, nil
			}).To("out", codecs.String, codecs.String)
	}), topologytest.Partitions(3))
	in, names := topologytest.Input(d, "in", codecs.String, codecs.String), topologytest.Input(d, "names", codecs.String, codecs.String)
	names.Pipe("KL", "KLM", 1)
	for partition := range int32(3) {
		in.PipeTo(partition, record{Key: fmt.Sprint("in", partition), Value: "KL", Timestamp: 2})
	}
	d.AdvanceWallClock(time.Second)
	require.Equal(t, []record{
		{Key: "in0", Value: "KLM", Timestamp: 2},
		{Key: "in1", Value: "KLM", Timestamp: 2},
		{Key: "in2", Value: "KLM", Timestamp: 2},
		{Key: "in0", Value: "tick", Timestamp: 1000},
		{Key: "in1", Value: "tick", Timestamp: 1000},
		{Key: "in2", Value: "tick", Timestamp: 1000},
	}, topologytest.Output(d, "out", codecs.String, codecs.String).Drain())
	require.Len(t, topologytest.Rows(d, "names", codecs.String, codecs.String), 1)
}

// A processor reads rows of all partitions of a global table, also after a restart, and rows that came in between.
func TestPartitions_processorsReadGlobalTables(t *testing.T) {
	for name, interrupt := range map[string]func(d *topologytest.Driver){
		"undisturbed": func(*topologytest.Driver) {},
		"restart":     (*topologytest.Driver).Restart,
		"crash":       (*topologytest.Driver).Crash,
		"restore":     (*topologytest.Driver).Restore,
		"commit":      (*topologytest.Driver).Commit,
	} {
		t.Run(name, func(t *testing.T) {
			d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
				names := topology.GlobalTableOf(b, "names", codecs.String, codecs.String)
				topology.Source(b, "in", codecs.String, codecs.String).
					Process("look-up", func(p *topology.ProcessorContext[string, string]) (topology.Processor[string, string], error) {
						rows := names.In(p)
						return func(_ context.Context, r record) error {
							for _, carrier := range carriers {
								name, at, ok, err := rows.Get(carrier)
								if err != nil {
									return err
								}
								if ok {
									p.Forward(record{Key: r.Key, Value: name, Timestamp: at})
								}
							}
							return nil
						}, nil
					}).To("out", codecs.String, codecs.String)
			}), topologytest.Partitions(3), topologytest.CommitEvery(4))
			in, names := topologytest.Input(d, "in", codecs.String, codecs.String), topologytest.Input(d, "names", codecs.String, codecs.String)
			known := make(map[string]record)
			var want []record
			ask := func() {
				for partition := range int32(3) {
					key := fmt.Sprint("in", partition)
					in.PipeTo(partition, record{Key: key, Value: "?", Timestamp: 100})
					for _, carrier := range carriers {
						if r, ok := known[carrier]; ok {
							want = append(want, record{Key: key, Value: r.Value, Timestamp: r.Timestamp})
						}
					}
					interrupt(d)
				}
			}
			partitions := make(map[int32]bool)
			for i, carrier := range carriers {
				names.Pipe(carrier, "the "+carrier, int64(i))
				known[carrier] = record{Value: "the " + carrier, Timestamp: int64(i)}
				partitions[topology.Partition([]byte(carrier), 3)] = true
				interrupt(d)
				if i%2 == 0 {
					ask()
				}
			}
			names.PipeRecord(record{Key: carriers[0], NullValue: true, Timestamp: 50})
			delete(known, carriers[0])
			ask()
			require.Len(t, partitions, 3, "rows of all partitions of the topic")
			require.Equal(t, want, topologytest.Output(d, "out", codecs.String, codecs.String).Drain())
		})
	}
}

func TestPartitions_misuse(t *testing.T) {
	fails := func(want string, misuse func(f *failing)) {
		t.Helper()
		f := &failing{}
		require.PanicsWithValue(t, f, func() { misuse(f) })
		require.Contains(t, f.message, want)
	}
	fails("are not co-partitioned: ", func(f *failing) {
		topologytest.NewDriver(f, build(t, func(b *topology.Builder) {
			table := topology.TableOf(b, "table", codecs.String, codecs.String)
			topology.Source(b, "in", codecs.String, codecs.String).
				JoinTable(table, func(v, _ string) string { return v }).To("out", codecs.String, codecs.String)
		}), topologytest.Partitions(3), topologytest.TopicPartitions("table", 2))
	})
	fails(`input "positions": 0 partitions; it needs at least one`, func(f *failing) {
		topologytest.NewDriver(f, build(t, routes), topologytest.TopicPartitions("positions", 0))
	})
	fails(`pipe into "positions": topic "positions" has no partition 3, only 3 partitions`, func(f *failing) {
		d := topologytest.NewDriver(f, build(t, routes), topologytest.Partitions(3))
		topologytest.Input(d, "positions", codecs.String, codecs.String).PipeTo(3, record{})
	})
	fails("pipe into \"positions\": key: refused", func(f *failing) {
		d := topologytest.NewDriver(f, build(t, routes), topologytest.Partitions(3))
		topologytest.Input(d, "positions", codecs.Codec[string](refusing{codecs.String}), codecs.String).PipeTo(0, record{})
	})
}

// Inputs that no operator brings together may have different numbers; repartition topics have what they ask for.
func TestTopicPartitions(t *testing.T) {
	d := topologytest.NewDriver(t, build(t, func(b *topology.Builder) {
		first := topology.Source(b, "first", codecs.String, codecs.String)
		first.Merge(topology.Source(b, "second", codecs.String, codecs.String)).
			Rekey(func(k, _ string) string { return k }).Repartition("eight", codecs.String, codecs.String, topology.Partitions(8)).
			GroupByKey().Count("n")
	}), topologytest.TopicPartitions("second", 5))
	first, second := topologytest.Input(d, "first", codecs.String, codecs.String), topologytest.Input(d, "second", codecs.String, codecs.String)
	eight := topologytest.Output(d, "airport-eight-repartition", codecs.String, codecs.String)
	want := make(map[int32][]record)
	for i, carrier := range carriers {
		first.Pipe(carrier, "v", int64(i))
		second.Pipe(carrier, "w", int64(i))
		p := topology.Partition([]byte(carrier), 8)
		want[p] = append(want[p], record{Key: carrier, Value: "v", Timestamp: int64(i)}, record{Key: carrier, Value: "w", Timestamp: int64(i)})
	}
	require.Equal(t, want, eight.DrainPartitions())
	require.Len(t, topologytest.Rows(d, "n", codecs.String, codecs.Int64), len(carriers))
}
