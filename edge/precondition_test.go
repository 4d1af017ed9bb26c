package edge

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOwner_preconditions(t *testing.T) {
	b := newBench(t, newFakeLog()).start()
	try := func(match, noneMatch string) int {
		p := b.command("a", "", "deposit", `{"amount":1}`)
		h := map[string][]string{}
		if match != "" {
			h["If-Match"] = []string{match}
		}
		if noneMatch != "" {
			h["If-None-Match"] = []string{noneMatch}
		}
		var bad *Problem
		p.precondition, bad = parsePrecondition(h)
		require.Nil(t, bad)
		return b.wait(b.submit(p)).status
	}
	require.Equal(t, 412, try(`*`, ""), "does not exist")
	require.Equal(t, 412, try(`"1"`, ""))
	require.Equal(t, 201, try(``, `*`))
	require.Equal(t, 412, try(``, `*`), "exists")
	require.Equal(t, 200, try(`"1"`, ""))
	require.Equal(t, 412, try(`"1"`, ""), "is at 2")
	require.Equal(t, 412, try(`W/"2"`, ""), "weak tags never match")
	require.Equal(t, 412, try(``, `"7", W/"2"`))
	require.Equal(t, 200, try(`"7" , "2"`, `"1"`))
	require.Equal(t, 200, try(`*`, ``))
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
