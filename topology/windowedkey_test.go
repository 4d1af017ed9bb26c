package topology_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

func TestTimeWindowedCodec_refuses(t *testing.T) {
	codec := topology.TimeWindowedCodec(codecs.Int64, time.Minute)
	for _, c := range []struct{ data, want string }{
		{"short", "key of a window: 5 bytes, want at least 8"},
		{"\xff\xff\xff\xff\xff\xff\xff\xff", "key of a window: the start of the window is beyond all time"},
		{"\x00\x00\x00\x00\x00\x00\x00\x00", "key of a window: decode int64: 0 bytes, want 8"},
	} {
		_, err := codec.Decode([]byte(c.data))
		require.EqualError(t, err, c.want)
	}

	failed := topology.TimeWindowedCodec(codecs.Codec[string](refusing{codecs.String}), time.Minute)
	dst, err := failed.Append([]byte("before"), topology.Windowed[string]{Key: "x"})
	require.Equal(t, "before", string(dst))
	require.ErrorIs(t, err, errRefused)
}

func FuzzTimeWindowedCodec(f *testing.F) {
	codec := topology.TimeWindowedCodec(codecs.Bytes, time.Minute)
	data, err := codec.Append(nil, topology.Windowed[[]byte]{Key: []byte("KL"), Window: state.Window{Start: 60_000, End: 120_000}})
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 9))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := codec.Decode(data)
		if err != nil {
			return
		}
		require.Equal(t, int64(60_000), w.Window.End-w.Window.Start)
		again, err := codec.Append(nil, w)
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

func TestSessionWindowedCodec_refuses(t *testing.T) {
	codec := topology.SessionWindowedCodec(codecs.Int64)
	for _, c := range []struct{ data, want string }{
		{"short", "key of a session: 5 bytes, want at least 16"},
		{strings.Repeat("\x00", 7) + "\x01" + strings.Repeat("\x00", 7) + "\x02", "key of a session: it would start at 2 and end at 1"},
		{strings.Repeat("\x00", 8) + strings.Repeat("\xff", 8), "key of a session: it would start at -1 and end at 0"},
		{strings.Repeat("\x00", 16), "key of a session: decode int64: 0 bytes, want 8"},
	} {
		_, err := codec.Decode([]byte(c.data))
		require.EqualError(t, err, c.want)
	}

	failed := topology.SessionWindowedCodec(codecs.Codec[string](refusing{codecs.String}))
	dst, err := failed.Append([]byte("before"), topology.Windowed[string]{Key: "x"})
	require.Equal(t, "before", string(dst))
	require.ErrorIs(t, err, errRefused)
}

func FuzzSessionWindowedCodec(f *testing.F) {
	codec := topology.SessionWindowedCodec(codecs.Bytes)
	data, err := codec.Append(nil, topology.Windowed[[]byte]{Key: []byte("KL"), Window: state.Window{Start: 1000, End: 5000}})
	require.NoError(f, err)
	f.Add(data)
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 17))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := codec.Decode(data)
		if err != nil {
			return
		}
		require.LessOrEqual(t, w.Window.Start, w.Window.End)
		again, err := codec.Append(nil, w)
		require.NoError(t, err)
		require.Equal(t, data, again)
	})
}

// All windows of a key are in the partition of the key.
func TestWindowedCodecs_partitionByKey(t *testing.T) {
	windowed, sessions := topology.TimeWindowedCodec(codecs.String, time.Second), topology.SessionWindowedCodec(codecs.String)
	b := topology.NewBuilder("app")
	counts := flights(b).GroupByKey().WindowedBy(topology.Tumbling(time.Second)).Count("n").ToStream(topology.WithWindow)
	counts.To("windows", windowed, codecs.Int64)
	flights := topology.Source(b, "others", codecs.String, codecs.String)
	flights.GroupByKey().WindowedBySessions(topology.Sessions(time.Second)).Count("m").ToStream(topology.WithWindow).
		To("sessions", sessions, codecs.Int64)
	top, err := b.Build()
	require.NoError(t, err)
	for topic, input := range map[string]string{"windows": "flights", "sessions": "others"} {
		sub := top.SubTopologies()[0]
		if sub.Inputs()[0].Topic != input {
			sub = top.SubTopologies()[1]
		}
		sink := new(keeper)
		part, err := state.NewMemory().Open(0)
		require.NoError(t, err)
		task, err := sub.NewTask(engine.TaskConfig{State: part, Sink: sink})
		require.NoError(t, err)
		require.NoError(t, task.Process(0, &engine.RawRecord{Key: []byte("KL"), Value: []byte("v"), Timestamp: 5}))
		task.Close()
		require.Len(t, sink.records, 1, topic)
		require.Equal(t, "KL", string(sink.records[0].PartitionKey), topic)
	}
}

// keeper is a Sink that keeps what it gets.
type keeper struct{ records []engine.RawRecord }

func (k *keeper) Send(_ string, r engine.RawRecord) error {
	k.records = append(k.records, r)
	return nil
}
