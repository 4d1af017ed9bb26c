package topology_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// recorder is a Sink that keeps what it gets, without a copy.
type recorder struct {
	sent []engine.RawRecord
	err  error
}

func (r *recorder) Send(_ string, record engine.RawRecord) error {
	r.sent = append(r.sent, record)
	return r.err
}

func (r *recorder) values() []string {
	var values []string
	for _, record := range r.sent {
		values = append(values, string(record.Value))
	}
	r.sent = nil
	return values
}

type harness struct {
	*engine.Task
	sub   *topology.SubTopology
	sink  recorder
	part  state.Partition
	drops []engine.Drop
}

// start runs the only sub-topology as partition 7 on empty state.
func start(t *testing.T, define func(b *topology.Builder)) *harness {
	t.Helper()
	part, err := state.NewMemory().Open(7)
	require.NoError(t, err)
	return startOn(t, part, define)
}

// startOn is start on state that there is.
func startOn(t *testing.T, part state.Partition, define func(b *topology.Builder)) *harness {
	t.Helper()
	h := &harness{part: part, sub: build(t, "app", define).SubTopologies()[0]}
	h.open(t)
	t.Cleanup(func() { h.Close() })
	return h
}

func (h *harness) open(t *testing.T) {
	t.Helper()
	var err error
	h.Task, err = h.sub.NewTask(engine.TaskConfig{
		Partition: 7, State: h.part, Sink: &h.sink, OnDrop: func(d engine.Drop) { h.drops = append(h.drops, d) },
	})
	require.NoError(t, err)
}

// restart goes on with a new task.
func (h *harness) restart(t *testing.T) {
	t.Helper()
	h.Close()
	h.open(t)
}

func raw(key, value string, timestamp, offset int64) *engine.RawRecord {
	return &engine.RawRecord{Key: []byte(key), Value: []byte(value), Timestamp: timestamp, Offset: offset}
}

func (h *harness) commit(t *testing.T) {
	t.Helper()
	var b state.Batch
	commit(t, h.Task, h.part, &b)
}

func TestTask_needsStateAndSink(t *testing.T) {
	sub := build(t, "app", func(b *topology.Builder) { out(flights(b)) }).SubTopologies()[0]
	_, err := sub.NewTask(engine.TaskConfig{Sink: discard{}})
	require.EqualError(t, err, `task of sub-topology "flights": TaskConfig.State is nil`)
	part, err := state.NewMemory().Open(0)
	require.NoError(t, err)
	_, err = sub.NewTask(engine.TaskConfig{State: part})
	require.EqualError(t, err, `task of sub-topology "flights": TaskConfig.Sink is nil`)
	task, err := sub.NewTask(engine.TaskConfig{State: part, Sink: discard{}})
	require.NoError(t, err)
	require.NoError(t, task.Process(0, raw("k", "v", -1, 0)), "nobody need hear of drops")
	require.EqualError(t, task.Process(1, raw("k", "v", 0, 0)), `sub-topology "flights" has 1 inputs: there is none with index 1`)
	require.Error(t, task.Process(-1, raw("k", "v", 0, 0)))
	task.Close()
	task.Close()
}

func TestTask_panicsBecomeErrors(t *testing.T) {
	boom := errors.New("boom")
	h := start(t, func(b *topology.Builder) {
		s := flights(b)
		out(s)
		s.MapValues(func(v string) string { panic(fmt.Errorf("%s: %w", v, boom)) }, topology.Named("fragile"))
	})
	err := h.Process(0, raw("k", "v", 1, 42))
	require.EqualError(t, err, `node "fragile": topic "flights" partition 7 offset 42: panic: v: boom`)
	var record *engine.RecordError
	require.ErrorAs(t, err, &record)
	require.Equal(t, engine.RecordError{Node: "fragile", Topic: "flights", Partition: 7, Offset: 42, Err: record.Err}, *record)
	var panicked *engine.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Contains(t, string(panicked.Stack), "TestTask_panicsBecomeErrors")
	require.ErrorIs(t, err, boom, "the value of the panic can be looked for if it is an error")
	require.NoError(t, (&engine.PanicError{Value: "text"}).Unwrap())
}

// The error names the node whose function panicked, for every operator that calls a function.
func TestTask_panicsNameTheNode(t *testing.T) {
	type stream = topology.Stream[string, string]
	type window = state.Window
	for name, define := range map[string]func(s stream){
		"filter-1":     func(s stream) { s.Filter(func(string, string) bool { panic("!") }) },
		"map-values-1": func(s stream) { s.MapValues(func(string) string { panic("!") }) },
		"rekey-1":      func(s stream) { s.Rekey(func(_, _ string) string { panic("!") }) },
		"init":         func(s stream) { s.GroupByKey().Aggregate("init", func() string { panic("!") }, join, codecs.String) },
		"add": func(s stream) {
			s.GroupByKey().Aggregate("add", none, func(_, _, _ string) string { panic("!") }, codecs.String)
		},
		"windowed": func(s stream) {
			s.GroupByKey().WindowedBy(topology.Tumbling(time.Second)).
				Aggregate("windowed", none, func(_, _, _ string) string { panic("!") }, codecs.String)
		},
		"to-stream-1": func(s stream) {
			s.GroupByKey().WindowedBy(topology.Tumbling(time.Second)).Count("n").ToStream(func(string, window) string { panic("!") })
		},
		"join-table-1": func(s stream) {
			s.JoinTable(s.GroupByKey().Aggregate("t", none, join, codecs.String), func(_, _ string) string { panic("!") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(b *topology.Builder) { define(flights(b)) })
			err := h.Process(0, raw("k", "v", 1, 1))
			require.EqualError(t, err, fmt.Sprintf(`node %q: topic "flights" partition 7 offset 1: panic: !`, name))
		})
	}
}

func TestTask_undecodableRecords(t *testing.T) {
	h := start(t, func(b *topology.Builder) {
		topology.Source(b, "flights", codecs.Int64, codecs.JSON[int]()).To("out", codecs.Int64, codecs.JSON[int]())
	})
	err := h.Process(0, raw("short", "1", 5, 3))
	require.EqualError(t, err, `node "source-flights": topic "flights" partition 7 offset 3: key cannot be decoded: decode int64: 5 bytes, want 8`)
	err = h.Process(0, raw("12345678", "{", 6, 4))
	var undecodable *engine.DecodeError
	require.ErrorAs(t, err, &undecodable)
	require.Equal(t, "value", undecodable.Part)
	require.ErrorIs(t, err, undecodable.Err)
	require.EqualValues(t, -1, h.StreamTime(), "nothing was done")

	require.NoError(t, h.Process(0, raw("12345678", "1", 7, 5)), "the task goes on")
	require.Equal(t, []string{"1"}, h.sink.values())
	require.EqualValues(t, 7, h.StreamTime())
}

// refusing is a codec that encodes nothing that begins with "x".
type refusing struct{ codecs.Codec[string] }

var errRefused = errors.New("refused")

func (c refusing) Append(dst []byte, v string) ([]byte, error) {
	if strings.HasPrefix(v, "x") {
		return dst, errRefused
	}
	return c.Codec.Append(dst, v)
}

func TestTask_encodeErrorsBlameTheRecord(t *testing.T) {
	picky := refusing{codecs.String}
	for name, define := range map[string]func(s topology.Stream[string, string]){
		"value":  func(s topology.Stream[string, string]) { s.To("out", codecs.String, picky) },
		"key":    func(s topology.Stream[string, string]) { s.To("out", picky, codecs.String) },
		"second": func(s topology.Stream[string, string]) { s.Rekey(carrier).To("out", picky, codecs.String) },
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, func(b *topology.Builder) { define(flights(b)) })
			err := h.Process(0, raw("x", "x", 1, 9))
			require.EqualError(t, err, `node "sink-out": topic "flights" partition 7 offset 9: refused`)
			require.ErrorIs(t, err, errRefused)
			var record *engine.RecordError
			require.ErrorAs(t, err, &record)
			require.NoError(t, h.Process(0, raw("k", "v", 1, 10)))
		})
	}
	for name, define := range map[string]func(b *topology.Builder){
		"n": func(b *topology.Builder) {
			topology.Source(b, "flights", codecs.Codec[string](picky), codecs.String).GroupByKey().Count("n")
		},
		"w": func(b *topology.Builder) {
			topology.Source(b, "flights", codecs.Codec[string](picky), codecs.String).GroupByKey().
				WindowedBy(topology.Tumbling(time.Second)).Count("w")
		},
		"flights": func(b *topology.Builder) { topology.TableOf(b, "flights", codecs.Codec[string](picky), codecs.String) },
	} {
		t.Run("store "+name, func(t *testing.T) {
			err := start(t, define).Process(0, raw("x", "x", 1, 9))
			require.EqualError(t, err, fmt.Sprintf(`node %q: topic "flights" partition 7 offset 9: refused`, name))
		})
	}
}

func TestTask_sinkErrorsDoNotBlameTheRecord(t *testing.T) {
	h := start(t, func(b *topology.Builder) { out(flights(b)) })
	h.sink.err = errors.New("broker is gone")
	err := h.Process(0, raw("k", "v", 1, 9))
	require.EqualError(t, err, `node "sink-out": topic "flights" partition 7 offset 9: broker is gone`)
	require.ErrorIs(t, err, h.sink.err)
	var record *engine.RecordError
	require.NotErrorAs(t, err, &record)
}

// broken is state that cannot be read.
type broken struct{ state.Partition }

var errBroken = errors.New("disk is gone")

func (broken) Get(dst, _ []byte) ([]byte, bool, error) { return dst, false, errBroken }

func TestTask_stateErrorsDoNotBlameTheRecord(t *testing.T) {
	for name, define := range map[string]func(b *topology.Builder){
		"n":       func(b *topology.Builder) { flights(b).GroupByKey().Count("n") },
		"flights": func(b *topology.Builder) { topology.TableOf(b, "flights", codecs.String, codecs.String) },
		"join-table-1": func(b *topology.Builder) {
			s := flights(b)
			s.JoinTable(topology.TableOf(b, "airlines", codecs.String, codecs.String), withAirline)
		},
	} {
		t.Run(name, func(t *testing.T) {
			task, err := build(t, "app", define).SubTopologies()[0].NewTask(engine.TaskConfig{State: broken{}, Sink: discard{}})
			require.NoError(t, err)
			err = task.Process(0, raw("k", "v", 1, 9))
			require.ErrorIs(t, err, errBroken)
			require.ErrorContains(t, err, fmt.Sprintf(`node %q: topic "flights" partition 0 offset 9: `, name))
			var record *engine.RecordError
			require.NotErrorAs(t, err, &record)
		})
	}
	t.Run("stream times", func(t *testing.T) {
		top := build(t, "app", func(b *topology.Builder) {
			flights(b).GroupByKey().WindowedBy(topology.Tumbling(time.Second)).Count("n")
		})
		_, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{State: broken{}, Sink: discard{}})
		require.ErrorIs(t, err, errBroken)
		require.ErrorContains(t, err, `task of sub-topology "n": stream time of "n": `)
	})
}

// Rollback forgets values and stream times: what was not late before is not late the second time.
func TestTask_rollback(t *testing.T) {
	h := start(t, func(b *topology.Builder) {
		out(flights(b).GroupByKey().WindowedBy(topology.Tumbling(10*time.Second)).
			Aggregate("gates", none, join, codecs.String).ToStream(inWindow))
	})
	require.NoError(t, h.Process(0, raw("KL", "a", 1000, 0)))
	h.commit(t)
	require.Zero(t, h.DirtyBytes())
	require.Equal(t, []string{"a"}, h.sink.values())

	again := func() {
		require.NoError(t, h.Process(0, raw("KL", "b", 2000, 1)))
		require.NoError(t, h.Process(0, raw("KL", "c", 50_000, 2)))
		require.NoError(t, h.Process(0, raw("KL", "late", 3000, 3)))
		require.Equal(t, []string{"a+b", "c"}, h.sink.values())
		require.EqualValues(t, 50_000, h.StreamTime())
		require.Positive(t, h.DirtyBytes())
		require.Equal(t, []engine.Drop{{
			Node: "gates", Reason: topology.DropLateWindow, Topic: "flights", Partition: 7, Offset: 3, Timestamp: 3000, Late: 40_001,
		}}, h.drops)
		h.drops = nil
	}
	again()
	h.Rollback()
	require.EqualValues(t, 1000, h.StreamTime())
	require.Zero(t, h.DirtyBytes())
	again()

	var refused state.Batch
	require.NoError(t, h.Flush(&refused))
	h.Rollback() // the batch was never applied
	again()
	h.commit(t)
	require.NoError(t, h.Process(0, raw("KL", "late", 4000, 4)))
	require.Empty(t, h.sink.values())
}

// What is processed between Flush and Committed belongs to the next commit.
func TestTask_processesWhileCommitting(t *testing.T) {
	h := start(t, func(b *topology.Builder) {
		out(flights(b).GroupByKey().WindowedBy(topology.Tumbling(10*time.Second)).
			Aggregate("gates", none, join, codecs.String).ToStream(inWindow))
	})
	require.NoError(t, h.Process(0, raw("KL", "a", 1000, 0)))
	var first state.Batch
	require.NoError(t, h.Flush(&first))
	require.NoError(t, h.Process(0, raw("KL", "b", 20_000, 1)))
	require.NoError(t, h.part.Apply(&first))
	h.Committed()
	h.Rollback()
	require.EqualValues(t, 1000, h.StreamTime())
	require.NoError(t, h.Process(0, raw("KL", "b", 2000, 1)), "not late any more")
	require.Equal(t, []string{"a", "b", "a+b"}, h.sink.values())
}

func TestTask_streamTimeIsSet(t *testing.T) {
	h := start(t, func(b *topology.Builder) { out(flights(b)) })
	require.EqualValues(t, -1, h.StreamTime())
	h.SetStreamTime(500, 500, nil)
	require.NoError(t, h.Process(0, raw("k", "v", 400, 0)))
	require.EqualValues(t, 500, h.StreamTime())
	h.Rollback()
	require.EqualValues(t, 500, h.StreamTime())
}

// The sink keeps what it gets: the task must never write to it again, nor to the records it is given.
func TestTask_handsOverItsOutput(t *testing.T) {
	h := start(t, func(b *topology.Builder) {
		s := flights(b)
		out(s)
		s.Rekey(carrier).MapValues(strings.ToUpper).To("other", codecs.String, codecs.String)
		s.GroupByKey().Count("n") // takes its key back
	})
	const n = 5000 // some chunks of the arena
	var want []engine.RawRecord
	for i := range n {
		value := strings.Repeat("v", i%97)
		in := raw(fmt.Sprintf("k%04d", i), value, int64(i), int64(i))
		require.NoError(t, h.Process(0, in))
		require.Equal(t, raw(fmt.Sprintf("k%04d", i), value, int64(i), int64(i)), in, "the input is not modified")
		want = append(want,
			engine.RawRecord{Key: in.Key, Value: in.Value, Timestamp: in.Timestamp},
			engine.RawRecord{Key: in.Key[:2], Value: bytes.ToUpper(in.Value), Timestamp: in.Timestamp})
		for j := range in.Key {
			in.Key[j] = '?' // may be reused
		}
		want[len(want)-2].Key = fmt.Appendf(nil, "k%04d", i)
		want[len(want)-1].Key = fmt.Appendf(nil, "k%04d", i)[:2]
	}
	require.Equal(t, want, h.sink.sent)
	for _, r := range h.sink.sent {
		require.Equal(t, len(r.Key), cap(r.Key), "an append must not reach the neighbor")
		require.Equal(t, len(r.Value), cap(r.Value))
		require.NotNil(t, r.Value, "empty is not null")
	}
}

func TestTask_largeValues(t *testing.T) {
	h := start(t, func(b *topology.Builder) { out(flights(b)) })
	var want []string
	for i := range 40 {
		value := strings.Repeat(string(rune('a'+i%26)), i*4000)
		want = append(want, value)
		require.NoError(t, h.Process(0, raw("k", value, 0, 0)))
	}
	require.Equal(t, want, h.sink.values())
}

// A timestamp near the end of time must not send the windows around the clock.
func TestTask_endOfTime(t *testing.T) {
	h := start(t, func(b *topology.Builder) {
		out(flights(b).GroupByKey().WindowedBy(topology.Tumbling(10*time.Second).Grace(time.Second)).
			Aggregate("gates", none, join, codecs.String).ToStream(inWindow))
	})
	require.NoError(t, h.Process(0, raw("k", "a", engine.MaxTime-1, 0)))
	require.NoError(t, h.Process(0, raw("k", "b", engine.MaxTime, 1)))
	h.commit(t)
	require.Equal(t, []string{"a", "a+b"}, h.sink.values())
	for _, later := range []int64{engine.MaxTime + 1, 1<<63 - 1} {
		var refused *engine.TimeError
		require.ErrorAs(t, h.Process(0, raw("k", "c", later, 2)), &refused)
	}
	require.Empty(t, h.drops)
}

// counting counts how often a key is encoded.
type countingCodec struct {
	codecs.Codec[string]
	encoded *int
}

func (c countingCodec) Append(dst []byte, v string) ([]byte, error) {
	*c.encoded++
	return c.Codec.Append(dst, v)
}

// However many operators need the encoded key, it is encoded once.
func TestTask_encodesAKeyOnce(t *testing.T) {
	encoded := 0
	var codec codecs.Codec[string] = countingCodec{codecs.String, &encoded}
	h := start(t, func(b *topology.Builder) {
		s := topology.Source(b, "flights", codec, codecs.String)
		counts := s.MapValues(strings.ToUpper).GroupByKey().Count("n")
		counts.ToStream().To("counts", codec, codecs.Int64)
		s.GroupByKey().WindowedBy(topology.Tumbling(time.Second)).Count("w")
		joined := s.JoinTable(counts, func(v string, n int64) string { return fmt.Sprint(v, n) })
		joined.To("out", codec, codecs.String)
		joined.To("copy", codec, codecs.String)
	})
	require.NoError(t, h.Process(0, raw("KL", "v", 0, 0)))
	require.Equal(t, 1, encoded)
	require.NoError(t, h.Process(0, raw("BA", "v", 0, 1)))
	require.Equal(t, 2, encoded)
	keys := make([]string, 0, len(h.sink.sent))
	for _, r := range h.sink.sent {
		keys = append(keys, string(r.Key))
	}
	require.Equal(t, []string{"KL", "KL", "KL", "BA", "BA", "BA"}, keys)
}

// Windows of one key are in one partition.
func TestTask_windowedKeysArePartitionedByTheKey(t *testing.T) {
	h := start(t, func(b *topology.Builder) {
		flights(b).GroupByKey().WindowedBy(topology.Tumbling(10*time.Second)).Count("n").
			ToStream(topology.WithWindow).To("out", topology.TimeWindowedCodec(codecs.String, 10*time.Second), codecs.Int64)
	})
	require.NoError(t, h.Process(0, raw("KL", "v", 11_000, 0)))
	require.Equal(t, []byte("KL\x00\x00\x00\x00\x00\x00\x27\x10"), h.sink.sent[0].Key)
	require.Equal(t, []byte("KL"), h.sink.sent[0].PartitionKey)

	plain := start(t, func(b *topology.Builder) { out(flights(b)) })
	require.NoError(t, plain.Process(0, raw("KL", "v", 0, 0)))
	require.Nil(t, plain.sink.sent[0].PartitionKey)
}

// A task is wired once, so two tasks of one topology share nothing.
func TestTask_tasksShareNothing(t *testing.T) {
	top := build(t, "app", func(b *topology.Builder) {
		out(flights(b).GroupByKey().Aggregate("a", none, join, codecs.String).ToStream())
	})
	var sinks [2]recorder
	var tasks []*engine.Task
	for p := range sinks {
		part, err := state.NewMemory().Open(int32(p))
		require.NoError(t, err)
		task, err := top.SubTopologies()[0].NewTask(engine.TaskConfig{State: part, Sink: &sinks[p]})
		require.NoError(t, err)
		tasks = append(tasks, task)
	}
	for i := range 4 {
		require.NoError(t, tasks[i%2].Process(0, raw("k", fmt.Sprint(i), int64(i), 0)))
	}
	require.Equal(t, []string{"0", "0+2"}, sinks[0].values())
	require.Equal(t, []string{"1", "1+3"}, sinks[1].values())
	require.True(t, slices.ContainsFunc(top.Tables(), func(r state.TableRef) bool { return r.Store.Name == "a" }))
}
