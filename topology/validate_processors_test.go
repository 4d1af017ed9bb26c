package topology_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/topologytest"
)

func idle(context.Context, record) error { return nil }

// Build creates each processor once and says what is wrong with it.
func TestBuild_refusesProcessors(t *testing.T) {
	str := codecs.String
	var noCodec codecs.Codec[string]
	other := topology.NewBuilder("other")
	foreign := topology.KeyValueStore(other, "foreign", str, str)
	foreignTable := topology.TableOf(other, "airlines", str, str)
	foreignGlobal := topology.GlobalTableOf(other, "names", str, str)
	never := func(context.Context, int64) error { return nil }
	testRefusals(t, []refusal{
		{name: "nil", define: func(b *topology.Builder) {
			s := flights(b)
			s.Process[string, string]("a", nil)
			s.ProcessValues[string]("b", nil)
			s.Process("", func(scope) (processor, error) { return idle, nil })
		}, want: []string{
			`process "a": the function that creates the processor is nil`,
			`process-values "b": the function that creates the processor is nil`,
			`process "": name is empty; choose one, it becomes part of the names of topics and stores`,
		}},
		{name: "create fails", define: func(b *topology.Builder) {
			s := flights(b)
			s.Process("a", func(scope) (processor, error) { return nil, errors.New("no such file") })
			s.Process("b", func(scope) (processor, error) { panic("oops") })
			s.ProcessValues("c", func(*topology.ValuesContext[string]) (processor, error) { return nil, nil })
			s.Process("d", func(p scope) (processor, error) { p.Forward(record{}); return idle, nil })
		}, want: []string{
			`process "a": create the processor: no such file`,
			`process "b": create the processor: panic: oops`,
			`process-values "c": create the processor: the processor is nil`,
			`process "d": create the processor: panic: processor "d" forwards while it is not called; only the processor itself ` +
				`and its schedules may forward, on the goroutine that calls them`,
		}},
		{name: "children", define: func(b *topology.Builder) {
			s := flights(b)
			s.Process("a", func(p scope) (processor, error) { p.Child("late"); return idle, nil })
			parent := s.Process("b", func(p scope) (processor, error) { p.Child("late"); return idle, nil })
			parent.Filter(notCancelled, topology.Named("early"))
			parent.MapValues(func(v string) string { return v })
			parent.To("out", str, str, topology.Named("written"))
		}, want: []string{
			`process "a": create the processor: it forwards to "late", but no child has that name; name one with topology.Named`,
			`process "b": create the processor: it forwards to "late", but no child has that name; there are early, written`,
		}},
		{name: "schedules", define: func(b *topology.Builder) {
			flights(b).Process("a", func(p scope) (processor, error) {
				p.Schedule(0, topology.StreamTime, never)
				p.Schedule(time.Microsecond, topology.WallClock, never)
				p.Schedule(time.Second, 0, never)
				p.Schedule(time.Second, topology.WallClock, nil)
				return idle, nil
			})
		}, want: []string{
			`process "a": create the processor: it schedules every 0s; want a positive number of whole milliseconds`,
			`process "a": create the processor: it schedules every 1µs; want a positive number of whole milliseconds`,
			`process "a": create the processor: it schedules by punctuation type 0; want topology.StreamTime or topology.WallClock`,
			`process "a": create the processor: it schedules a nil function`,
		}},
		{name: "stores", define: func(b *topology.Builder) {
			flights(b)
			topology.KeyValueStore(b, "unused", str, str)
			topology.KeyValueStore(b, "stream-times", str, str)
			topology.KeyValueStore(b, "No", noCodec, str)
			topology.ExpiringStore(b, "x", 0, str, str)
			topology.ExpiringStore(b, "y", -time.Second, str, str)
			topology.WindowStore(b, "w", time.Minute, time.Second, str, str)
			topology.WindowStore(b, "v", 0, 0, str, str)
			topology.SessionStore(b, "s", -1, str, str)
			topology.VersionedStore(b, "x", time.Second, str, str)
		}, want: []string{
			`key-value-store "stream-times": the store name "stream-times" is reserved`,
			`key-value-store "No": name "No" is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen`,
			`key-value-store "No": the key codec is nil`,
			`expiring-store "x": the TTL is 0: want the time that rows live`,
			`expiring-store "y": store "y": TTL -1s: want a positive number of whole milliseconds, or 0 for none`,
			`window-store "w": the retention of 1s is shorter than the window size of 1m0s`,
			`window-store "v": store "v": window size 0s: want a positive number of whole milliseconds`,
			`session-store "s": store "s": retention -1ns is negative`,
			`versioned-store "x": the name is taken by the expiring-store at PLACE; names are unique in a topology`,
		}},
		{name: "a store that nobody uses", define: func(b *topology.Builder) {
			flights(b)
			topology.KeyValueStore(b, "unused", str, str)
		}, want: []string{
			`key-value-store "unused": no processor uses the store; open it with Store.In, or remove it`,
		}},
		{name: "a store of another builder", define: func(b *topology.Builder) {
			s := flights(b)
			s.Process("a", func(p scope) (processor, error) { foreign.In(p); return idle, nil })
			s.Process("b", func(p scope) (processor, error) { foreignTable.In(p); return idle, nil })
			s.Process("c", func(p scope) (processor, error) { foreignGlobal.In(p); return idle, nil })
		}, want: []string{
			`process "a": the key-value-store "foreign" at PLACE belongs to another builder (application "other"); a topology has one builder`,
			`process "b": the table at PLACE belongs to another builder (application "other"); a topology has one builder`,
			`process "c": the global-table at PLACE belongs to another builder (application "other"); a topology has one builder`,
		}},
		{name: "a zero global table", define: func(b *topology.Builder) {
			flights(b).Process("a", func(p scope) (processor, error) {
				topology.GlobalTable[string, string]{}.In(p)
				return idle, nil
			})
		}, want: []string{
			`process "a": create the processor: panic: topology: method of the zero GlobalTable called; ` +
				`global tables are made by topology.GlobalTableOf`,
		}},
		{name: "keys that moved", define: func(b *topology.Builder) {
			flights(b).Process("a", func(scope) (processor, error) { return idle, nil }).GroupByKey().Count("n")
		}, want: []string{
			`group-by-key: the keys were changed at PLACE, so equal keys may be in different partitions; call Repartition between the two`,
		}},
		{name: "asynchronous", define: func(b *topology.Builder) {
			s := flights(b)
			s.ProcessAsync[string]("a", 1, nil)
			s.ProcessAsync("b", 0, lookUp)
			s.ProcessAsync("c", 1, lookUp, nil, topology.CallTimeout(-1))
			s.Rekey(carrier).ProcessAsync("d", 1, lookUp)
			s.ProcessAsync("", 1, lookUp)
		}, want: []string{
			`process-async "a": the function is nil`,
			`process-async "b": 0 calls at a time; want at least 1`,
			`process-async "c": option is nil`,
			`process-async "c": the timeout of calls is -1ns; want more than 0`,
			`process-async "d": the keys were changed at PLACE and have no codec, by which equal ones are found; ` +
				`call it before, or call Repartition between the two`,
			`process-async "": name is empty; choose one, it becomes part of the names of topics and stores`,
		}},
		{name: "building while it is built", define: func(b *topology.Builder) {
			s := flights(b)
			s.Process("a", func(scope) (processor, error) { s.Filter(notCancelled); return idle, nil })
		}, want: []string{
			"filter: called after Build; a topology cannot change, call Build last",
		}},
	})
}

// What create must not do in a task, since Build did not see it.
func TestProcess_mustBeCreatedTheSameWay(t *testing.T) {
	str := codecs.String
	type opened struct {
		store  topology.Store[*state.KeyValue[string, string]]
		global topology.GlobalTable[string, string]
	}
	for name, c := range map[string]struct {
		do   func(p scope, o opened)
		want string
	}{
		"store": {
			func(p scope, o opened) { o.store.In(p) },
			`node "b": create the processor: panic: store "s" was not opened when the topology was built; a processor must open the same whenever it is created`,
		},
		"global table": {
			func(p scope, o opened) { o.global.In(p) },
			`node "b": create the processor: panic: global table "airlines" was not opened when the topology was built; ` +
				`a processor must open the same whenever it is created`,
		},
		"schedule": {
			func(p scope, _ opened) {
				p.Schedule(time.Second, topology.StreamTime, func(context.Context, int64) error { return nil })
			},
			`node "b": create the processor: it has another schedule than when the topology was built: it must have the same whenever it is created`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			trial := true
			top := build(t, "app", func(b *topology.Builder) {
				o := opened{topology.KeyValueStore(b, "s", str, str), airlinesOf(b)}
				flights(b).Process("a", func(p scope) (processor, error) { o.store.In(p); return idle, nil })
				flights := topology.Source(b, "others", str, str)
				flights.Process("b", func(p scope) (processor, error) {
					if !trial {
						c.do(p, o)
					}
					return idle, nil
				})
			})
			trial = false
			part, err := state.NewMemory().Open(0)
			require.NoError(t, err)
			_, err = top.SubTopologies()[1].NewTask(engine.TaskConfig{State: part, Sink: nothing{}})
			require.ErrorContains(t, err, c.want)
		})
	}
}

type nothing struct{}

func (nothing) Send(string, engine.RawRecord) error { return nil }

// What a processor must not do while it processes is a failure of the record that names the remedy.
func TestProcess_misuse(t *testing.T) {
	str := codecs.String
	var opened topology.Store[*state.KeyValue[string, string]]
	var global topology.GlobalTable[string, string]
	for name, c := range map[string]struct {
		do   func(p scope)
		want string
	}{
		"store": {func(p scope) { opened.In(p) }, `processor "a" opens store "s" while records are processed; open it where the processor is created`},
		"global table": {
			func(p scope) { global.In(p) },
			`processor "a" opens global table "airlines" while records are processed; open it where the processor is created`,
		},
		"child":    {func(p scope) { p.Child("x") }, `it forwards to "x", but no child has that name; name one with topology.Named`},
		"schedule": {func(p scope) { p.Schedule(1, 1, nil) }, `processor "a": Schedule is called while records are processed; call it where the processor is created`},
	} {
		t.Run(name, func(t *testing.T) {
			d := topologytest.NewDriver(t, build(t, "app", func(b *topology.Builder) {
				opened = topology.KeyValueStore(b, "s", str, str)
				global = airlinesOf(b)
				s := flights(b)
				s.Process("a", func(p scope) (processor, error) {
					return func(context.Context, record) error { c.do(p); return nil }, nil
				})
				s.Process("b", func(p scope) (processor, error) { opened.In(p); return idle, nil })
			}))
			err := topologytest.Input(d, "flights", str, str).TryPipe(record{Key: "k", Value: "v"})
			require.ErrorContains(t, err, `node "a"`)
			require.ErrorContains(t, err, c.want)
		})
	}
}
