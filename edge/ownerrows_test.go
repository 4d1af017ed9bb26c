package edge

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

func TestRows_roundTrip(t *testing.T) {
	s := snapshot{version: 300, next: 1 << 40, state: []byte(`{"a":1}`)}
	decoded, err := decodeSnapshot(s.row(5))
	require.NoError(t, err)
	require.Equal(t, s, decoded)

	r := result{timestamp: 7, fingerprint: [32]byte{1, 2, 31: 3}, answer: answer{
		status: 409, header: []field{{"Content-Type", "text/plain"}, {"X", ""}}, body: []byte("body"),
	}}
	again, err := decodeResult(r.row())
	require.NoError(t, err)
	require.Equal(t, r, again)

	timestamp, storeKey, err := splitResultAgeKey(resultAgeKey(-5, []byte("id\x00key")))
	require.NoError(t, err)
	require.Equal(t, int64(-5), timestamp)
	require.Equal(t, "id\x00key", string(storeKey))
	require.Negative(t, compare(resultAgeKey(5, []byte("z")), resultAgeKey(6, nil)))

	name, storeKey, ok := state.SplitRowKey(resultKey("id", "key"))
	require.True(t, ok)
	require.Equal(t, resultStore, name)
	require.Equal(t, "id\x00key", string(storeKey))
	require.NoError(t, state.ValidateStoreName(snapshotStore))
	require.NoError(t, state.ValidateStoreName(resultStore))

	c := claim{Instance: "i", Address: "a", Since: time.UnixMilli(5).UTC()}
	row, err := c.row()
	require.NoError(t, err)
	require.JSONEq(t, `{"instance":"i","address":"a","since":"1970-01-01T00:00:00.005Z"}`, string(row))
	last, err := decodeClaim(row)
	require.NoError(t, err)
	require.Equal(t, c, last)
	_, err = decodeClaim([]byte("x"))
	require.ErrorContains(t, err, "claim: ")
}

func compare(a, b []byte) int {
	switch {
	case string(a) < string(b):
		return -1
	case string(a) > string(b):
		return 1
	}
	return 0
}

func FuzzDecodeRows(f *testing.F) {
	f.Add(snapshot{version: 1, next: 2, state: []byte("s")}.row(3))
	f.Add(result{answer: answer{status: 200, header: []field{{"a", "b"}}, body: []byte("b")}}.row())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, row []byte) {
		if s, err := decodeSnapshot(row); err == nil {
			again, err := decodeSnapshot(s.row(0))
			require.NoError(t, err)
			require.Equal(t, s, again)
		}
		if r, err := decodeResult(row); err == nil {
			again, err := decodeResult(r.row())
			require.NoError(t, err)
			require.Equal(t, r, again)
		}
	})
}
