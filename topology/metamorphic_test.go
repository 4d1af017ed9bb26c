package topology_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/topologytest"
)

const (
	modelSize  = 10_000
	modelGrace = 5_000
)

// everything is a topology whose outputs the naive evaluator below can compute.
func everything(b *topology.Builder) {
	str := codecs.String
	airlines := topology.TableOf(b, "airlines", str, str)
	s := flights(b)
	byValue := s.Filter(notCancelled).GroupBy("by-first", firstLetter, str, str)
	byValue.Aggregate("aggregate", none, join, str, topology.DeleteWhen(tooLong)).ToStream().To("aggregate", str, str)
	byValue.WindowedBy(topology.Tumbling(modelSize*time.Millisecond).Grace(modelGrace*time.Millisecond)).
		Aggregate("windows", none, join, str).ToStream(inWindow).To("windows", str, str)
	s.JoinTable(airlines, withAirline).To("joined", str, str)
	names := topology.GlobalTableOf(b, "names", str, str)
	own := func(key, _ string) (string, bool) { return key, key != "" }
	s.LeftJoinGlobal(names, own, withAirlineIfAny).To("named", str, str)
	s.ProcessValues("look-up", func(p *topology.ValuesContext[string]) (processor, error) {
		rows := names.In(p)
		return func(_ context.Context, r record) error {
			if r.NullValue {
				return nil
			}
			name, _, ok, err := rows.Get(r.Key)
			row := &name
			if r.NullKey || !ok {
				row = nil
			}
			p.Forward(withAirlineIfAny(r.Value, row))
			return err
		}, nil
	}).To("looked-up", str, str)
	s.GroupByKey().Count("count").ToStream().MapValues(decimal).To("count", str, str)
}

func firstLetter(_, value string) string { return value[:1] }
func tooLong(s string) bool              { return len(s) > 12 }

type record = topology.Record[string, string]

type input struct {
	topic string
	record
}

// expected computes the outputs of everything from scratch: for each input record, it looks at all earlier ones again.
func expected(inputs []input) map[string][]record {
	out := make(map[string][]record)
	emit := func(topic string, r record) { out[topic] = append(out[topic], r) }
	for i, in := range inputs {
		if in.topic != "flights" {
			continue
		}
		past := inputs[:i+1]
		if !in.NullValue {
			var name *string
			if row, ok := lastRow(past, "names", in.Key); ok && !in.NullKey {
				name = &row
			}
			named := record{Key: in.Key, NullKey: in.NullKey, Value: withAirlineIfAny(in.Value, name), Timestamp: in.Timestamp}
			emit("named", named)
			emit("looked-up", named)
		}
		if !in.NullKey && !in.NullValue {
			if row, ok := lastRow(past, "airlines", in.Key); ok {
				emit("joined", record{Key: in.Key, Value: withAirline(in.Value, row), Timestamp: in.Timestamp})
			}
			n, timestamp := int64(0), int64(0)
			for _, r := range flightsOf(past) {
				if !r.NullKey && !r.NullValue && r.Key == in.Key {
					n, timestamp = n+1, max(timestamp, r.Timestamp)
				}
			}
			emit("count", record{Key: in.Key, Value: decimal(n), Timestamp: timestamp})
		}
		if grouped := groupedOf(past); len(grouped) > 0 && !in.NullValue && notCancelled("", in.Value) {
			emit("aggregate", aggregateOf(grouped))
			if r, ok := windowOf(grouped); ok {
				emit("windows", r)
			}
		}
	}
	return out
}

func flightsOf(inputs []input) []record {
	var out []record
	for _, in := range inputs {
		if in.topic == "flights" {
			out = append(out, in.record)
		}
	}
	return out
}

// groupedOf returns the records behind the repartition.
func groupedOf(inputs []input) []record {
	var out []record
	for _, r := range flightsOf(inputs) {
		if !r.NullValue && notCancelled("", r.Value) {
			out = append(out, record{Key: r.Value[:1], Value: r.Value, Timestamp: r.Timestamp})
		}
	}
	return out
}

func lastRow(inputs []input, topic, key string) (row string, ok bool) {
	for _, in := range inputs {
		if in.topic == topic && !in.NullKey && in.Key == key {
			row, ok = in.Value, !in.NullValue
		}
	}
	return row, ok
}

// aggregateOf returns what the last record makes of the aggregate of its key.
func aggregateOf(grouped []record) record {
	result := record{Key: grouped[len(grouped)-1].Key, NullValue: true}
	for _, r := range grouped {
		if r.Key != result.Key {
			continue
		}
		if result.NullValue {
			result.Value, result.Timestamp = "", 0
		}
		result.Value, result.Timestamp = join("", r.Value, result.Value), max(result.Timestamp, r.Timestamp)
		if result.NullValue = tooLong(result.Value); result.NullValue {
			result.Value = ""
		}
	}
	return result
}

// windowOf returns what the last record makes of its window, and false if it is too late.
func windowOf(grouped []record) (result record, ok bool) {
	last := grouped[len(grouped)-1]
	start := last.Timestamp / modelSize * modelSize
	now := int64(0)
	for _, r := range grouped {
		now = max(now, r.Timestamp)
		ok = start+modelSize > now-modelGrace
		if r.Key == last.Key && r.Timestamp/modelSize*modelSize == start && ok {
			result.Value, result.Timestamp = join("", r.Value, result.Value), max(result.Timestamp, r.Timestamp)
		}
	}
	result.Key = fmt.Sprintf("%s@%d/%d", last.Key, start, start+modelSize)
	return result, ok
}

func randomInputs(dice *rand.Rand, n int) []input {
	inputs := make([]input, n)
	now := int64(0)
	for i := range inputs {
		in := input{topic: "flights"}
		in.Key, in.Value = string(rune('A'+dice.IntN(3))), fmt.Sprintf("%c%d", 'a'+dice.IntN(3), i%10)
		switch dice.IntN(12) {
		case 0:
			in.Key, in.NullKey = "", true
		case 1:
			in.Value, in.NullValue = "", true
		case 2:
			in.Value = "cancelled"
		case 3, 4:
			in.topic = "airlines"
		case 5:
			in.topic = "names"
		}
		switch dice.IntN(10) {
		case 0:
			now += int64(dice.IntN(20_000))
		case 1, 2, 3:
			now += int64(dice.IntN(2000))
		}
		in.Timestamp = max(0, now-int64(dice.IntN(3))*int64(dice.IntN(8000)))
		inputs[i] = in
	}
	return inputs
}

// The outputs equal a computation from scratch, with any cache, any commits and any interruptions.
func TestMetamorphic(t *testing.T) {
	runs, steps := 30, 150
	if testing.Short() {
		runs = 3
	}
	for seed := range uint64(runs) {
		dice := rand.New(rand.NewPCG(seed, 1))
		inputs := randomInputs(dice, steps)
		want := expected(inputs)
		opts, names := []topologytest.Option{topologytest.CommitRandomly(seed)}, []string{"random commits"}
		if dice.IntN(2) == 0 {
			opts, names = append(opts, topologytest.CacheBytes(1)), append(names, "no cache")
		}
		interruptions := dice.IntN(2) == 0
		t.Run(fmt.Sprintf("seed=%d %s interruptions=%v", seed, strings.Join(names, ", "), interruptions), func(t *testing.T) {
			d := topologytest.NewDriver(t, build(t, "app", everything), opts...)
			for _, in := range inputs {
				topologytest.Input(d, in.topic, codecs.String, codecs.String).PipeRecord(in.record)
				if interruptions {
					switch dice.IntN(20) {
					case 0:
						d.Restart()
					case 1:
						d.Restore()
					case 2, 3:
						d.Crash()
					}
				}
			}
			for _, topic := range []string{"aggregate", "windows", "joined", "count", "named"} {
				got := topologytest.Output(d, topic, codecs.String, codecs.String).Drain()
				require.Equal(t, want[topic], got, topic)
			}
			require.NotEmpty(t, d.Drops())
		})
	}
}
