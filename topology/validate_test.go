package topology_test

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// Each case makes the mistakes of which Build must say the given things, each in an error with the place in this file.
func TestBuild_refuses(t *testing.T) {
	str := codecs.String
	var noCodec codecs.Codec[string]
	grouped := func(b *topology.Builder) topology.GroupedStream[string, string] { return flights(b).GroupByKey() }
	testRefusals(t, []refusal{
		{name: "nothing", define: func(*topology.Builder) {}, want: []string{
			"build: the topology has no source; start with Source or TableOf",
		}},
		{name: "bad app", app: "My App", define: func(b *topology.Builder) { flights(b) }, want: []string{
			`builder: application name "My App" is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen`,
		}},
		{name: "no app", app: "-", define: func(b *topology.Builder) { flights(b) }, want: []string{
			`builder: application name "-" is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen`,
		}},
		{name: "unnamed", define: func(b *topology.Builder) {
			grouped(b).Count("")
		}, want: []string{
			`count "": name is empty; choose one, it becomes part of the names of topics and stores`,
		}},
		{name: "invalid name", define: func(b *topology.Builder) {
			grouped(b).WindowedBy(topology.Tumbling(time.Second)).Count("by carrier")
		}, want: []string{
			`windowed-count "by carrier": name "by carrier" is not allowed: want lower-case letters, digits and hyphens, the first one no hyphen`,
		}},
		{name: "reserved name", define: func(b *topology.Builder) {
			grouped(b).Count("stream-times")
		}, want: []string{
			`count "stream-times": the store name "stream-times" is reserved`,
		}},
		{name: "duplicate store", define: func(b *topology.Builder) {
			g := grouped(b)
			g.Count("n")
			g.Aggregate("n", none, join, str)
		}, want: []string{
			`aggregate "n": the name is taken by the count at PLACE; names are unique in a topology`,
		}},
		{name: "duplicate repartition", define: func(b *topology.Builder) {
			s := flights(b)
			s.Rekey(carrier).Repartition("n", str, str)
			s.GroupBy("n", carrier, str, str).Count("m")
		}, want: []string{
			`group-by "n": the name is taken by the repartition at PLACE; names are unique in a topology`,
		}},
		{name: "duplicate node", define: func(b *topology.Builder) {
			flights(b).Filter(notCancelled, topology.Named("n")).MapValues(strings.ToUpper, topology.Named("n"))
		}, want: []string{
			`map-values "n": the name is taken by the filter at PLACE; names are unique in a topology`,
		}},
		{name: "table without a name", define: func(b *topology.Builder) {
			topology.TableOf(b, "airport.airlines", str, str)
		}, want: []string{
			`table: the name of topic "airport.airlines" cannot be that of a store; choose one with topology.Named`,
		}},
		{name: "table named like a store", define: func(b *topology.Builder) {
			grouped(b).Count("airlines")
			topology.TableOf(b, "airlines", str, str)
		}, want: []string{
			`table: the name "airlines" is taken by the count at PLACE; choose one with topology.Named`,
		}},
		{name: "nil functions", define: func(b *topology.Builder) {
			s := flights(b)
			s.Filter(nil)
			s.MapValues[string](nil)
			s.Rekey[string](nil)
			s.GroupBy[string]("g", nil, str, str).Count("n")
			s.GroupByKey().Aggregate("a", nil, nil, str)
			s.GroupByKey().Aggregate("d", none, join, str, topology.DeleteWhen[string](nil))
			s.JoinTable[string, string](topology.TableOf(b, "airlines", str, str), nil)
			s.GroupByKey().WindowedBy(topology.Tumbling(time.Second)).Count("w").ToStream[string](nil)
		}, want: []string{
			"filter: the function is nil",
			"map-values: the function is nil",
			"rekey: the function is nil",
			"group-by: the function is nil",
			`aggregate "a": the function for the initial value is nil`,
			`aggregate "a": the function that adds a value is nil`,
			`aggregate "d": the function of DeleteWhen is nil`,
			"join-table: the function is nil",
			"to-stream: the function is nil",
		}},
		{name: "nil codecs", define: func(b *topology.Builder) {
			s := topology.Source(b, "flights", noCodec, noCodec)
			s.To("out", noCodec, noCodec)
			s.Repartition("r", noCodec, noCodec)
			topology.TableOf(b, "airlines", noCodec, noCodec)
			s.GroupByKey().Aggregate("a", none, join, noCodec)
		}, want: []string{
			"source: the key codec is nil", "source: the value codec is nil",
			"sink: the key codec is nil", "sink: the value codec is nil",
			"repartition \"r\": the key codec is nil", "repartition \"r\": the value codec is nil",
			"source: the key codec is nil", "source: the value codec is nil",
			`aggregate "a": the codec of the results is nil`,
		}},
		{name: "nil options", define: func(b *topology.Builder) {
			s := flights(b)
			s.Filter(notCancelled, nil)
			s.Repartition("r", str, str, nil)
			s.GroupByKey().Aggregate("a", none, join, str, nil)
		}, want: []string{
			"filter: option is nil", `repartition "r": option is nil`, `aggregate "a": option is nil`,
		}},
		{name: "topics", define: func(b *topology.Builder) {
			topology.Source(b, "", str, str)
			topology.Source(b, "..", str, str)
			s := topology.Source(b, strings.Repeat("f", 250), str, str)
			s.To("out put", str, str)
		}, want: []string{
			"source: the topic is empty",
			`source: topic name ".." is not allowed: Kafka wants letters, digits, '.', '_' and '-'`,
			`source: topic name "` + strings.Repeat("f", 250) + `" has 250 characters; Kafka allows 249`,
			`sink: topic name "out put" is not allowed: Kafka wants letters, digits, '.', '_' and '-'`,
		}},
		{name: "topic read twice", define: func(b *topology.Builder) {
			flights(b)
			topology.TableOf(b, "flights", str, str)
		}, want: []string{
			`source: topic "flights" is read at PLACE already; use that stream or table again`,
		}},
		{name: "windows", define: func(b *topology.Builder) {
			g := grouped(b)
			g.WindowedBy(topology.Tumbling(0)).Count("a")
			g.WindowedBy(topology.Tumbling(-time.Second)).Count("b")
			g.WindowedBy(topology.Tumbling(time.Second).Grace(-1)).Count("c")
			g.WindowedBy(topology.Tumbling(time.Minute).Grace(time.Second).Retention(time.Minute)).Count("d")
			g.WindowedBy(topology.Tumbling(time.Microsecond).Grace(time.Nanosecond).Retention(time.Hour + 1)).Count("e")
			g.WindowedBy(topology.Tumbling(time.Second).Retention(-time.Second)).Count("f")
		}, want: []string{
			"windowed-by: the window size is 0s; want more than 0",
			"windowed-by: the window size is -1s; want more than 0",
			"windowed-by: the grace of -1ns is negative",
			"windowed-by: the retention of 1m0s is shorter than window size and grace together, 1m1s: windows would be lost while they are open",
			"windowed-by: the window size of 1µs is not a whole number of milliseconds",
			"windowed-by: the grace of 1ns is not a whole number of milliseconds",
			"windowed-by: the retention of 1h0m0.000000001s is not a whole number of milliseconds",
			"windowed-by: the retention of -1s is negative",
		}},
		{name: "grouped after rekey", define: func(b *topology.Builder) {
			flights(b).Rekey(carrier).Filter(notCancelled).GroupByKey().Count("n")
		}, want: []string{
			"group-by-key: the keys were changed at PLACE, so equal keys may be in different partitions; call Repartition between the two",
		}},
		{name: "grouped by window", define: func(b *topology.Builder) {
			w := grouped(b).WindowedBy(topology.Tumbling(time.Second)).Count("n")
			w.ToStream(topology.WithWindow).GroupByKey().Count("m")
		}, want: []string{
			"group-by-key: the keys were changed at PLACE, so equal keys may be in different partitions; call Repartition between the two",
		}},
		{name: "joined after rekey", define: func(b *topology.Builder) {
			airlines := topology.TableOf(b, "airlines", str, str)
			flights(b).Rekey(carrier).JoinTable(airlines, withAirline)
		}, want: []string{
			"join-table: the keys were changed at PLACE, so equal keys may be in different partitions; call Repartition between the two",
		}},
		{name: "joined with another key codec", define: func(b *topology.Builder) {
			airlines := topology.TableOf(b, "airlines", codecs.JSON[string](), str)
			flights(b).JoinTable(airlines, withAirline)
		}, want: []string{
			"join-table: one side encodes its keys with codecs.stringCodec, the table at PLACE with codecs.jsonCodec[string], " +
				"so equal keys may be in different partitions; use one codec for both",
		}},
		{name: "another builder", define: func(b *topology.Builder) {
			airlines := topology.TableOf(topology.NewBuilder("other"), "airlines", str, str)
			flights(b).JoinTable(airlines, withAirline)
		}, want: []string{
			`join-table: the table at PLACE belongs to another builder (application "other"); a topology has one builder`,
		}},
		{name: "zero table", define: func(b *topology.Builder) {
			out(flights(b).JoinTable(topology.Table[string, string]{}, withAirline))
		}, want: []string{
			"join-table: the table is the zero Table; tables are made by topology.TableOf and aggregations",
		}},
		{name: "partitions", define: func(b *topology.Builder) {
			flights(b).Repartition("r", str, str, topology.Partitions(0))
		}, want: []string{
			`repartition "r": 0 partitions; a topic has at least one`,
		}},
		{name: "different partitions", define: func(b *topology.Builder) {
			s := flights(b)
			table := s.GroupBy("a", carrier, str, str, topology.Partitions(2)).Aggregate("t", none, join, str)
			s.Rekey(carrier).Repartition("b", str, str, topology.Partitions(3)).JoinTable(table, withAirline)
		}, want: []string{
			`repartition "b": 3 partitions, but repartition "a" at PLACE has 2, and the join-table at PLACE brings them together; ` +
				"tasks read the same partition of both",
		}},
		{name: "internal topics", define: func(b *topology.Builder) {
			s := flights(b)
			s.Rekey(carrier).Repartition("r", str, str).GroupByKey().Count("n")
			s.To("app-r-repartition", str, str)
			s.To("app-n-table", str, str)
		}, want: []string{
			`sink: topic "app-r-repartition" is that of repartition "r", which only the topology itself may use`,
			`sink: topic "app-n-table" is that of the changelog of sub-topology "n", which only the topology itself may use`,
		}},
		{name: "two sub-topologies of one name", define: func(b *topology.Builder) {
			s := flights(b)
			s.Rekey(carrier).Repartition("r", str, str).GroupByKey().Count("flights")
		}, want: []string{
			`sub-topology "flights": the one that begins at PLACE has the same name; choose another one with topology.InSubTopology`,
		}},
		{name: "long names", define: func(b *topology.Builder) {
			flights(b).GroupByKey().Count(strings.Repeat("n", 245))
		}, want: []string{
			`the changelog of sub-topology "` + strings.Repeat("n", 245) + `": topic name "app-` + strings.Repeat("n", 245) +
				`-table" has 255 characters; Kafka allows 249`,
		}},
	})
}

// refusal is a program that Build refuses.
type refusal struct {
	name   string
	app    string // "app" if empty
	define func(b *topology.Builder)
	want   []string // what each error says behind its place
}

func testRefusals(t *testing.T, cases []refusal) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.app == "" {
				c.app = "app"
			}
			b := topology.NewBuilder(c.app)
			c.define(b)
			top, err := b.Build()
			require.Nil(t, top)
			require.Error(t, err)
			var got []string
			for line := range strings.Lines(err.Error()) {
				place, message, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
				require.Regexp(t, `^topology/(validate|scripts)\w*_test\.go:\d+$`, place)
				got = append(got, placeholder(message))
			}
			require.Equal(t, c.want, got)
		})
	}
}

// placeholder replaces the places in this package by PLACE: lines move when tests are added.
func placeholder(message string) string {
	return regexp.MustCompile(`topology/\w+_test\.go:\d+`).ReplaceAllString(message, "PLACE")
}

// nextLine returns the place of the line below the call.
func nextLine() string {
	_, _, line, _ := runtime.Caller(1)
	return fmt.Sprintf("topology/validate_test.go:%d: ", line+1)
}

// An error names the line of the call itself, also within a chain that is broken over lines.
func TestBuild_namesTheLine(t *testing.T) {
	b := topology.NewBuilder("app")
	s := flights(b)
	filter := nextLine()
	s.Filter(nil)
	mapping := nextLine()
	s.
		Filter(notCancelled).
		MapValues(strings.ToUpper).
		To("", codecs.String, codecs.String)

	_, err := b.Build()
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	require.Len(t, lines, 2)
	require.Equal(t, filter+"filter: the function is nil", lines[0])
	require.NotEqual(t, mapping+"sink: the topic is empty", lines[1], "the line of the statement is not that of the call")
	require.Regexp(t, `^topology/validate_test\.go:\d+: sink: the topic is empty$`, lines[1])
}

func TestBuilder_closesWithBuild(t *testing.T) {
	b := topology.NewBuilder("app")
	s := flights(b)
	out(s)
	top, err := b.Build()
	require.NoError(t, err)
	again, err := b.Build()
	require.NoError(t, err)
	require.Same(t, top, again)
	before := top.Describe()

	place := nextLine()
	s.GroupByKey().Count("late")
	want := place + `count "late": called after Build; a topology cannot change, call Build last`
	require.Equal(t, before, top.Describe())
	_, err = b.Build()
	require.EqualError(t, err, want)
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	_, err = top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: discard{}})
	require.EqualError(t, err, `topology "app": `+want)
}

func TestZeroValues_panicWithAReason(t *testing.T) {
	require.PanicsWithValue(t, "topology: method of the zero Stream called; streams are made by topology.Source", func() {
		topology.Stream[string, string]{}.GroupByKey()
	})
	require.PanicsWithValue(t, "topology: method of the zero Table called; tables are made by topology.TableOf and aggregations", func() {
		topology.Table[string, string]{}.ToStream()
	})
	require.PanicsWithValue(t, "topology: method of the zero WindowedTable called; windowed tables are made by aggregations", func() {
		topology.WindowedTable[string, string]{}.ToStream(topology.WithWindow)
	})
}
