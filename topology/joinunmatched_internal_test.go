package topology

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

func FuzzUnmatchedCodec(f *testing.F) {
	codec := unmatchedCodec[string, string]{sideCodecs[string, string]{codecs.String, codecs.String}}
	for _, u := range []unmatched[string, string]{
		{left: "a"},
		{right: "b", isRight: true},
		{left: "", headers: []engine.Header{{Key: "h"}, {Key: "", Value: []byte{}}, {Key: "h", Value: []byte("value")}}},
	} {
		data, err := codec.Append(nil, u)
		require.NoError(f, err)
		decoded, err := codec.Decode(data)
		require.NoError(f, err)
		require.Equal(f, u, decoded)
		f.Add(data)
	}
	example, err := codec.Append(nil, unmatched[string, string]{left: "A", headers: []engine.Header{{Key: "h"}}})
	require.NoError(f, err)
	require.Equal(f, []byte("\x01\x03\x01h\x00A"), example)
	for _, bad := range []string{"", "\x02", "\x00", "\x01\x04\x01h\x00", "\x01\x03\x05h\x00", "\x01\x04\x01h\x09a", "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		_, err := codec.Decode([]byte(bad))
		require.Error(f, err, "%q", bad)
		f.Add([]byte(bad))
	}
	f.Fuzz(func(t *testing.T, data []byte) { roundTrips(t, codec, data) })
}
