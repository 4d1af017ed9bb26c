package topology_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/topology"
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
