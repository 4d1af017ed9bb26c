package edge

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
