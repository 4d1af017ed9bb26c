package topology

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/topology/engine"
)

func TestHeaders_roundTrip(t *testing.T) {
	require.Nil(t, encodeHeaders(nil))
	for _, headers := range [][]engine.Header{
		{{Key: "", Value: nil}},
		{{Key: "a", Value: []byte{}}, {Key: "a", Value: []byte("x")}, {Key: "b", Value: nil}},
		{{Key: string(make([]byte, 300)), Value: make([]byte, 200)}},
	} {
		got, err := decodeHeaders(encodeHeaders(headers))
		require.NoError(t, err)
		require.Equal(t, headers, got)
	}
}

func FuzzDecodeHeaders(f *testing.F) {
	f.Add(encodeHeaders([]engine.Header{{Key: "a", Value: []byte("x")}, {Key: "b"}, {Value: []byte{}}}))
	f.Add([]byte{1})
	f.Add([]byte{0, 5, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		headers, err := decodeHeaders(data)
		if err != nil {
			require.ErrorIs(t, err, errHeaders)
			return
		}
		again, err := decodeHeaders(encodeHeaders(headers))
		require.NoError(t, err)
		require.Equal(t, headers, again)
	})
}
