package main

import (
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "-", 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 10 << 10: "10 KiB",
		5 << 20: "5.0 MiB", 123 << 30: "123 GiB", 1 << 62: "4.0 EiB",
	} {
		require.Equal(t, want, bytes(n))
	}
}

func TestRetention(t *testing.T) {
	require.Equal(t, "-", retention(nil))
	for ms, want := range map[int64]string{-1: "forever", 604800000: "7d", 3600000: "1h0m0s"} {
		require.Equal(t, want, retention(&ms))
	}
}

func TestBelongsTo(t *testing.T) {
	for _, name := range []string{"airport", "airport-delays", "airport-delays-table", "airport.flight.events"} {
		require.True(t, belongsTo("airport", name), name)
	}
	for _, name := range []string{"airports", "air", "harbour-airport"} {
		require.False(t, belongsTo("airport", name), name)
	}
	require.True(t, belongsTo("", "anything"))
}

func TestNotFoundShowsSomeGroups(t *testing.T) {
	groups := strings.Split(strings.Repeat("g ", 10), " ")[:10]
	require.ErrorContains(t, notFound("a", groups), "g, g, g, g, g, g, g, g and 2 more;")
}

func TestDescribeBuild(t *testing.T) {
	require.Equal(t, "unknown", describeBuild(nil).Version)

	info := &debug.BuildInfo{Main: debug.Module{Path: "m", Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	var out strings.Builder
	require.NoError(t, describeBuild(info).writeTable(&out))
	require.Contains(t, out.String(), "millrace v1.2.3 (go")
	require.Contains(t, out.String(), "commit abc of 2026-01-02T03:04:05Z, with local changes\n")
}

func TestPrintable(t *testing.T) {
	require.Equal(t, "10.0.0.1:8080", printable([]byte("10.0.0.1:8080")))
	require.Empty(t, printable([]byte{0, 1, 2}))
	require.Empty(t, printable([]byte{0xff, 0xfe}))
}

// A bar appears only after a while, and is removed at its end.
func TestProgress(t *testing.T) {
	var out strings.Builder
	begun := time.Unix(0, 0)
	now := begun
	bar := &progress{w: &out, now: func() time.Time { return now }, begun: begun, total: 4}

	bar.step("topics")
	require.Empty(t, out.String())
	now = begun.Add(progressAfter)
	bar.step("offsets")
	require.Equal(t, "\r\x1b[K[#####---------------] offsets", out.String())
	out.Reset()
	bar.end()
	require.Equal(t, "\r\x1b[K", out.String())
}

// If standard error is not a terminal, no bar is drawn.
func TestProgressIsForTerminals(t *testing.T) {
	var out strings.Builder
	require.Nil(t, newProgress(&out, 1).w)
}
