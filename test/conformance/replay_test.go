package conformance_test

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// compare holds what the application has written against what its operators answer to the same input. Each sub-topology
// is looked at by itself: its input is what is in its topics, which for a repartition topic is what the runtime made of
// the sub-topologies before it. Outputs are compared key by key, in order.
func (s *site) compare(t *testing.T) {
	t.Helper()
	written := make(map[string][]*kgo.Record)
	want := make(map[string]outputs)
	for _, sub := range s.top.SubTopologies() {
		for _, topic := range sub.Outputs() {
			if want[topic] == nil {
				want[topic] = make(outputs)
				for p := range int32(runtimePartitions) {
					written[topic] = append(written[topic], withoutMarks(s.log(t, state.TopicPartition{Topic: topic, Partition: p}))...)
				}
			}
		}
		for p := range int32(runtimePartitions) {
			s.replay(t, sub, p, want)
		}
	}
	n := 0
	for topic, expected := range want {
		expected.requireSame(t, topic, written[topic])
		n += len(written[topic])
	}
	require.Positive(t, n, "nothing was written")
}

// markHeader is the header of the runtime's own records in repartition topics.
const markHeader = "millrace-mark"

func withoutMarks(records []*kgo.Record) []*kgo.Record {
	return slices.DeleteFunc(records, func(r *kgo.Record) bool {
		return r.Key == nil && len(r.Headers) > 0 && r.Headers[0].Key == markHeader
	})
}

// replay runs one task over its input, undisturbed, and adds its outputs to want.
func (s *site) replay(t *testing.T, sub *topology.SubTopology, partition int32, want map[string]outputs) {
	t.Helper()
	part, err := state.NewMemory().Open(partition)
	require.NoError(t, err)
	author := fmt.Sprintf("%s/%d", sub.Name(), partition)
	task, err := sub.NewTask(engine.TaskConfig{Partition: partition, State: part, Globals: s.globalRows(t), Sink: sinkFunc(func(topic string, r engine.RawRecord) error {
		want[topic].add(author, r)
		return nil
	})})
	require.NoError(t, err)
	defer task.Close()
	inputs := sub.Inputs()
	queues := make([][]*kgo.Record, len(inputs))
	for i, in := range inputs {
		queues[i] = withoutMarks(s.log(t, state.TopicPartition{Topic: in.Topic, Partition: partition}))
	}
	for {
		first := -1
		for i, queue := range queues {
			if len(queue) > 0 && (first < 0 || queue[0].Timestamp.Before(queues[first][0].Timestamp)) {
				first = i
			}
		}
		if first < 0 {
			return
		}
		r := queues[first][0]
		queues[first] = queues[first][1:]
		raw := engine.RawRecord{
			Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli(), Offset: r.Offset, Headers: headersOf(r),
		}
		require.NoError(t, task.Process(first, &raw))
	}
}

// globalRows returns how a task reads the global tables: all their records are there before anything runs.
func (s *site) globalRows(t *testing.T) func(name string) engine.GlobalRows {
	t.Helper()
	tables := make(map[string]engine.GlobalRows)
	for _, g := range s.top.Globals() {
		rows := make(globalRows)
		for p := range int32(runtimePartitions) {
			for _, r := range s.log(t, state.TopicPartition{Topic: g.Topic, Partition: p}) {
				if r.Key == nil {
					continue
				}
				key := string(state.AppendRowKey(nil, g.Name, r.Key))
				delete(rows, key)
				if r.Value != nil {
					rows[key] = state.AppendRowValue(nil, r.Timestamp.UnixMilli(), r.Value)
				}
			}
		}
		tables[g.Name] = rows
	}
	return func(name string) engine.GlobalRows { return tables[name] }
}

// globalRows are rows that do not change.
type globalRows map[string][]byte

func (globalRows) Version() uint64 { return 0 }

func (g globalRows) Get(dst, key []byte) ([]byte, bool, error) {
	row, ok := g[string(key)]
	return append(dst, row...), ok, nil
}

func headersOf(r *kgo.Record) (headers []engine.Header) {
	for _, h := range r.Headers {
		headers = append(headers, engine.Header{Key: h.Key, Value: h.Value})
	}
	return headers
}

type sinkFunc func(topic string, r engine.RawRecord) error

func (f sinkFunc) Send(topic string, r engine.RawRecord) error { return f(topic, r) }

// outputs are records by key, and for each key by the task that wrote them: tasks do not wait for each other.
type outputs map[string]map[string][]string

func (o outputs) add(author string, r engine.RawRecord) {
	key := quoted(r.Key)
	if o[key] == nil {
		o[key] = make(map[string][]string)
	}
	o[key][author] = append(o[key][author], printed(r.Value, r.Timestamp, r.Headers))
}

func quoted(data []byte) string {
	if data == nil {
		return "null"
	}
	return fmt.Sprintf("%q", data)
}

func printed(value []byte, timestamp int64, headers []engine.Header) string {
	return fmt.Sprintf("%s @%d %s", quoted(value), timestamp, headers)
}

// requireSame fails if the records differ, or if records of one key are in another order. A key that several tasks
// wrote must have the records of all of them.
func (o outputs) requireSame(t *testing.T, topic string, written []*kgo.Record) {
	t.Helper()
	got := make(map[string][]string)
	for _, r := range written {
		got[quoted(r.Key)] = append(got[quoted(r.Key)], printed(r.Value, r.Timestamp.UnixMilli(), headersOf(r)))
	}
	for key, authors := range o {
		var want []string
		for _, records := range authors {
			want = append(want, records...)
		}
		have := slices.Clone(got[key])
		if len(authors) > 1 || key == "null" {
			sort.Strings(want)
			sort.Strings(have)
		}
		require.Equal(t, strings.Join(want, "\n"), strings.Join(have, "\n"), "topic %s, key %s", topic, key)
		delete(got, key)
	}
	require.Empty(t, got, "topic %s: keys that should not have been written", topic)
}
