package state_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

func TestValidateStoreName(t *testing.T) {
	for _, name := range []string{"a", "0", "flights", "delays-by-carrier", "a-", "9lives"} {
		require.NoError(t, state.ValidateStoreName(name), name)
	}
	for name, want := range map[string]string{
		"":           "empty",
		"-a":         `character 1 is '-'`,
		"Flights":    `character 1 is 'F'`,
		"a b":        `character 2 is ' '`,
		"a\x00":      `character 2 is '\x00'`,
		"a.b":        `character 2 is '.'`,
		"verspätung": `store name "verspätung"`,
	} {
		require.ErrorContains(t, state.ValidateStoreName(name), want, name)
	}
}

func TestSpec_Validate(t *testing.T) {
	window := state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: time.Second}
	for _, spec := range []state.Spec{
		{Name: "kv", Kind: state.KeyValueKind},
		window,
		{Name: "kv", Kind: state.KeyValueKind, TTL: time.Hour},
		{Name: "s", Kind: state.SessionKind},
		{Name: "s", Kind: state.SessionKind, Retention: time.Hour},
		{Name: "v", Kind: state.VersionedKind, Retention: time.Hour},
		{Name: "s", Kind: state.SuppressKind},
		{Name: "j", Kind: state.JoinKind, Retention: time.Hour},
		{Name: "q", Kind: state.QueueKind},
		{Name: "i", Kind: state.IndexKind, Of: "kv"},
	} {
		require.NoError(t, spec.Validate())
	}
	for want, spec := range map[string]state.Spec{
		`store name "W"`:          {Name: "W", Kind: state.WindowKind, WindowSize: time.Second},
		"no window size":          {Name: "w", Kind: state.KeyValueKind, WindowSize: time.Second},
		"window size 0s":          {Name: "w", Kind: state.WindowKind},
		"window size 1.5ms":       {Name: "w", Kind: state.WindowKind, WindowSize: 1500 * time.Microsecond},
		"retention -1s":           {Name: "w", Kind: state.WindowKind, WindowSize: time.Second, Retention: -time.Second},
		"TTL -1s":                 {Name: "kv", Kind: state.KeyValueKind, TTL: -time.Second},
		"TTL 1.5ms":               {Name: "kv", Kind: state.KeyValueKind, TTL: 1500 * time.Microsecond},
		"has a TTL, not a window": {Name: "w", Kind: state.WindowKind, WindowSize: time.Second, TTL: time.Second},
		"a session store has":     {Name: "s", Kind: state.SessionKind, WindowSize: time.Second},
		"retention -2s":           {Name: "s", Kind: state.SessionKind, Retention: -2 * time.Second},
		"a versioned store has":   {Name: "v", Kind: state.VersionedKind, WindowSize: time.Second},
		"retention -3s":           {Name: "v", Kind: state.VersionedKind, Retention: -3 * time.Second},
		"a suppress store has":    {Name: "s", Kind: state.SuppressKind, Retention: time.Second},
		"is an index of itself":   {Name: "i", Kind: state.IndexKind, Of: "i"},
		`"i": the store that it is an index of: store name is empty`: {Name: "i", Kind: state.IndexKind},
		"only an index leads to the rows of another store":           {Name: "kv", Kind: state.KeyValueKind, Of: "i"},
		"an index store has":   {Name: "i", Kind: state.IndexKind, Of: "kv", WindowSize: time.Second},
		"a queue store has":    {Name: "q", Kind: state.QueueKind, WindowSize: time.Second},
		"a join store has":     {Name: "j", Kind: state.JoinKind, WindowSize: time.Second},
		"retention -4s":        {Name: "j", Kind: state.JoinKind, Retention: -4 * time.Second},
		"not a queue store":    {Name: "q", Kind: state.QueueKind, TTL: time.Second},
		`"w": unknown kind(0)`: {Name: "w"},
		`"w": unknown kind(9)`: {Name: "w", Kind: 9},
	} {
		require.ErrorContains(t, spec.Validate(), want)
	}
	require.Equal(t, "key-value", state.KeyValueKind.String())
	require.Equal(t, "window", state.WindowKind.String())
	require.Equal(t, "session", state.SessionKind.String())
	require.Equal(t, "versioned", state.VersionedKind.String())
	require.Equal(t, "suppress", state.SuppressKind.String())
	require.Equal(t, "join", state.JoinKind.String())
	require.Equal(t, "queue", state.QueueKind.String())
}

func TestNew_badSpecs(t *testing.T) {
	_, err := state.NewKeyValue("Bad", nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, `"Bad"`)
	_, err = state.NewWindowed(state.Spec{Name: "kv", Kind: state.KeyValueKind}, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "not a window store")
	_, err = state.NewWindowed(state.Spec{Name: "w", Kind: state.WindowKind}, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "window size")
	plain := state.Spec{Name: "kv", Kind: state.KeyValueKind}
	_, err = state.NewSessions(plain, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "not a session store")
	_, err = state.NewVersioned(plain, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "not a versioned store")
	_, err = state.NewExpiring(plain, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "TTL is 0")
	_, err = state.NewExpiring(state.Spec{Name: "w", Kind: state.SessionKind}, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "not a key-value store")
	_, err = state.NewSuppressBuffer(plain, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "not a suppress store")
	_, err = state.NewJoinBuffer(plain, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "not a join store")
	_, err = state.NewTimeQueue(plain, nil, nil, codecs.String, codecs.String)
	require.ErrorContains(t, err, "not a queue store")
	kv := state.Spec{Name: "twice", Kind: state.KeyValueKind}
	_, err = state.NewLayout(kv, kv)
	require.ErrorContains(t, err, `"twice" is defined twice`)
	_, err = state.NewLayout(state.Spec{Name: "w"})
	require.ErrorContains(t, err, "unknown kind")
}

func TestWindow(t *testing.T) {
	w := state.Window{Start: 1_717_200_000_000, End: 1_717_203_600_500}
	require.Equal(t, "2024-06-01T00:00:00Z/2024-06-01T01:00:00.5Z", w.String())
	require.Equal(t, time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), w.StartTime())
	require.Equal(t, time.UTC, w.EndTime().Location())
}

func TestSession(t *testing.T) {
	s := state.Session{Start: 1_717_200_000_000, End: 1_717_203_600_500}
	require.Equal(t, "2024-06-01T00:00:00Z/2024-06-01T01:00:00.5Z", s.String())
	require.Equal(t, time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), s.StartTime())
	require.Equal(t, time.UTC, s.EndTime().Location())
}
