package topology

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
)

func TestUpdateCodec(t *testing.T) {
	codec := updateCodec[string]{codecs.String}
	for want, u := range map[string]update[string]{
		"\x00":                 {},
		"\x01D8":               {new: "D8", hasNew: true},
		"\x02":                 {hasOld: true},
		"\x03\x02D8D7":         {new: "D8", hasNew: true, old: "D7", hasOld: true},
		"\x03\x00D7":           {hasNew: true, old: "D7", hasOld: true},
		"\x03\x03\xff\x00\x01": {new: "\xff\x00\x01", hasNew: true, hasOld: true},
	} {
		data, err := codec.Append([]byte("before"), u)
		require.NoError(t, err)
		require.Equal(t, "before"+want, string(data))
		got, err := codec.Decode(data[len("before"):])
		require.NoError(t, err)
		require.Equal(t, u, got)
	}
	for _, data := range []string{"", "\x00x", "\x04", "\x03", "\x03\x03D8", "\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		_, err := codec.Decode([]byte(data))
		require.Error(t, err, "%x", data)
	}

	failing := updateCodec[string]{refusingCodec{}}
	for _, u := range []update[string]{{hasNew: true}, {hasOld: true}, {hasNew: true, hasOld: true}} {
		data, err := failing.Append([]byte("before"), u)
		require.Equal(t, "before", string(data))
		require.ErrorIs(t, err, errRefusing)
	}
}

var errRefusing = errors.New("refused")

type refusingCodec struct{}

func (refusingCodec) Append(dst []byte, _ string) ([]byte, error) { return dst, errRefusing }
func (refusingCodec) Decode([]byte) (string, error)               { return "", errRefusing }

func FuzzUpdateCodec(f *testing.F) {
	codec := updateCodec[[]byte]{codecs.Bytes}
	f.Add([]byte("\x01D8"))
	f.Add([]byte("\x03\x02D8D7"))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrips(t, codec, data) })
}

// roundTrips checks that a value is the same after it is encoded and decoded again, if codec can decode data at all.
func roundTrips[T any](t *testing.T, codec codecs.Codec[T], data []byte) {
	t.Helper()
	value, err := codec.Decode(data)
	if err != nil {
		return
	}
	again, err := codec.Append(nil, value)
	require.NoError(t, err)
	decoded, err := codec.Decode(again)
	require.NoError(t, err)
	require.Equal(t, value, decoded)
}
