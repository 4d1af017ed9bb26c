package edge

import (
	"net/http"
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

	timestamp, storeKey, err := splitIndexKey(indexKey(-5, []byte("id\x00key")))
	require.NoError(t, err)
	require.Equal(t, int64(-5), timestamp)
	require.Equal(t, "id\x00key", string(storeKey))
	require.Negative(t, compare(indexKey(5, []byte("z")), indexKey(6, nil)))

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

func FuzzHeaders(f *testing.F) {
	f.Add(`"1", W/"2"`, `wait=5, handling=lenient`, `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`, `application/json;q=0.5`)
	f.Add(`*`, `wait=99999999999`, ``, `*/*;q=x`)
	f.Fuzz(func(t *testing.T, tags, prefer, trace, accept string) {
		if e, err := parseETags(tags); err == nil {
			require.True(t, e.any || len(e.tags) > 0)
		}
		p := parsePreferences(http.Header{"Prefer": {prefer}})
		require.GreaterOrEqual(t, p.wait, time.Duration(0))
		if parsed, ok := parseTrace(trace); ok {
			require.Len(t, parsed.traceID(), 32)
		}
		acceptsJSON(http.Header{"Accept": {accept}})
	})
}

func TestAccept(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                     false, // a header that accepts nothing
		"application/json":                     true,
		"APPLICATION/JSON; charset=utf-8":      true,
		"text/html":                            false,
		"text/html, */*;q=0.1":                 true,
		"application/*;q=0, */*":               false,
		"application/json;q=0.001":             true,
		"application/json;q=0":                 false,
		"application/json;q=zero":              false,
		"application/problem+json":             false,
		"bad range, application/json":          true,
		"text/html, application/xhtml+xml;q=1": false,
	} {
		require.Equal(t, want, acceptsJSON(http.Header{"Accept": {accept}}), accept)
	}
	require.True(t, acceptsJSON(http.Header{}))
}

func TestPreferences(t *testing.T) {
	for prefer, want := range map[string]preferences{
		"":                                     {},
		"wait=5":                               {wait: 5 * time.Second, hasWait: true},
		`Wait = "7" ; x=y, handling="LENIENT"`: {wait: 7 * time.Second, hasWait: true, lenient: true},
		"wait=-1":                              {},
		"wait=1.5":                             {},
		"wait=1, wait=9":                       {wait: time.Second, hasWait: true},
		"handling=strict, handling=lenient":    {},
		"respond-async":                        {},
	} {
		require.Equal(t, want, parsePreferences(http.Header{"Prefer": {prefer}}), prefer)
	}
}

func TestETags(t *testing.T) {
	for _, bad := range []string{"", ",", "1", `"1`, `"1" "2"`, `W/1`, `"1",2`} {
		_, err := parseETags(bad)
		require.Error(t, err, bad)
	}
	e, err := parseETags(` W/"a b" ,"", "c" `)
	require.NoError(t, err)
	require.Equal(t, []string{`W/"a b"`, `""`, `"c"`}, e.tags)
}
