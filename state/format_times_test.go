package state_test

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// TestTimeKeys_examples are the examples in docs/formats.md.
func TestTimeKeys_examples(t *testing.T) {
	ops := func(s state.Store) []state.Op {
		var b state.Batch
		require.NoError(t, s.Flush(&b))
		return slices.Collect(b.Ops())
	}
	part := openMemory(t)
	sessions, err := state.NewSessions(state.Spec{Name: "s", Kind: state.SessionKind}, part, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	require.NoError(t, sessions.Put("LH", state.Session{Start: 1, End: 2}, "v", 2))
	require.Equal(t, []state.Op{
		{
			Key:   []byte("s\x00" + "LH\x00\x01" + "\x80\x00\x00\x00\x00\x00\x00\x02" + "\x80\x00\x00\x00\x00\x00\x00\x01"),
			Value: []byte("\x80\x00\x00\x00\x00\x00\x00\x02" + "v"),
		},
		{
			Key:   []byte("\x01s\x00" + "\x80\x00\x00\x00\x00\x00\x00\x02" + "\x80\x00\x00\x00\x00\x00\x00\x01" + "LH\x00\x01"),
			Value: []byte{}, Local: true,
		},
	}, ops(sessions))

	versions, err := state.NewVersioned(state.Spec{Name: "v", Kind: state.VersionedKind}, part, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	require.NoError(t, versions.Put("LH", "A", 1))
	require.NoError(t, versions.Delete("LH", 2))
	require.NoError(t, versions.Delete("LH", 3))
	require.NoError(t, versions.Put("LH", "B", 4))
	local := func(end string) state.Op {
		return state.Op{Key: []byte("\x01v\x00" + "\x80\x00\x00\x00\x00\x00\x00" + end + "LH\x00\x01"), Value: []byte{}, Local: true}
	}
	require.Equal(t, []state.Op{
		{
			Key:   []byte("v\x00" + "LH\x00\x01" + "\x80\x00\x00\x00\x00\x00\x00\x02"),
			Value: []byte("\x80\x00\x00\x00\x00\x00\x00\x01" + "\x01A"),
		},
		local("\x02"),
		{
			Key:   []byte("v\x00" + "LH\x00\x01" + "\x80\x00\x00\x00\x00\x00\x00\x03"),
			Value: []byte("\x80\x00\x00\x00\x00\x00\x00\x03" + "\x00"),
		},
		local("\x03"),
		{
			Key:   []byte("v\x00" + "LH\x00\x01" + "\xff\xff\xff\xff\xff\xff\xff\xff"),
			Value: []byte("\x80\x00\x00\x00\x00\x00\x00\x04" + "\x01B"),
		},
	}, ops(versions))

	expiring, err := state.NewExpiring(state.Spec{Name: "e", Kind: state.KeyValueKind, TTL: time.Hour}, part, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	require.NoError(t, expiring.Put("LH", "v", 1))
	require.Equal(t, []state.Op{
		{Key: []byte("e\x00LH"), Value: []byte("\x80\x00\x00\x00\x00\x00\x00\x01" + "v")},
		{Key: []byte("\x01e\x00" + "\x80\x00\x00\x00\x00\x00\x00\x01" + "LH"), Value: []byte{}, Local: true},
	}, ops(expiring))
}

func FuzzSessionKey_order(f *testing.F) {
	keys := []string{"", "\x00", "\x00\x01", "\x00\xff", "a", "a\x00", "a\x00\x01", "ab", "\xff"}
	for _, a := range keys {
		for _, b := range keys {
			f.Add([]byte(a), int64(0), uint32(3), []byte(b), int64(-1), uint32(4))
		}
	}
	f.Add([]byte("a"), int64(math.MinInt64), uint32(0), []byte("a"), int64(math.MaxInt64), uint32(0))
	f.Fuzz(func(t *testing.T, a []byte, endA int64, lengthA uint32, b []byte, endB int64, lengthB uint32) {
		session := func(end int64, length uint32) state.Session {
			if end < math.MinInt64+int64(length) {
				length = 0
			}
			return state.Session{Start: end - int64(length), End: end}
		}
		sessionA, sessionB := session(endA, lengthA), session(endB, lengthB)
		keyA, keyB := state.AppendSessionKey(nil, a, sessionA), state.AppendSessionKey(nil, b, sessionB)
		want := cmp.Or(bytes.Compare(a, b), cmp.Compare(endA, endB), cmp.Compare(sessionA.Start, sessionB.Start))
		require.Equal(t, want, bytes.Compare(keyA, keyB), "%q %v and %q %v", a, sessionA, b, sessionB)
		key, got, err := state.SplitSessionKey([]byte("dst:"), keyA)
		require.NoError(t, err)
		require.Equal(t, append([]byte("dst:"), a...), key)
		require.Equal(t, sessionA, got)
	})
}

func FuzzSplitSessionKey(f *testing.F) {
	f.Add(state.AppendSessionKey(nil, []byte("a\x00b"), state.Session{Start: 5, End: 6}))
	f.Add(state.AppendSessionKey(nil, []byte("a"), state.Session{Start: 6, End: 5}))
	f.Add([]byte{})
	f.Add([]byte("a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, session, err := state.SplitSessionKey(nil, data)
		if err != nil {
			return
		}
		require.LessOrEqual(t, session.Start, session.End)
		require.Equal(t, data, state.AppendSessionKey([]byte{}, key, session), "one session has one key")
	})
}

func FuzzVersionKey_order(f *testing.F) {
	f.Add([]byte("a"), int64(1), []byte("a\x00"), int64(0))
	f.Add([]byte("a"), int64(math.MinInt64), []byte("a"), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a []byte, endA int64, b []byte, endB int64) {
		keyA, keyB := state.AppendVersionKey(nil, a, endA), state.AppendVersionKey(nil, b, endB)
		want := cmp.Or(bytes.Compare(a, b), cmp.Compare(endA, endB))
		require.Equal(t, want, bytes.Compare(keyA, keyB), "%q@%d and %q@%d", a, endA, b, endB)
		key, end, err := state.SplitVersionKey([]byte("dst:"), keyA)
		require.NoError(t, err)
		require.Equal(t, append([]byte("dst:"), a...), key)
		require.Equal(t, endA, end)
	})
}

func FuzzSplitVersionKey(f *testing.F) {
	f.Add(state.AppendVersionKey(nil, []byte("a\x00b"), 5))
	f.Add([]byte{0, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		key, end, err := state.SplitVersionKey(nil, data)
		if err != nil {
			return
		}
		require.Equal(t, data, state.AppendVersionKey([]byte{}, key, end), "one version has one key")
	})
}

// FuzzVersionRow gives a reader rows of any bytes.
func FuzzVersionRow(f *testing.F) {
	for _, data := range []string{"", "12345678", "12345678\x00", "12345678\x01v", "12345678\x01", "12345678\x00v", "12345678\x02"} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		part := openMemory(t)
		var b state.Batch
		b.Set(state.AppendRowKey(nil, "v", state.AppendVersionKey(nil, []byte("k"), math.MaxInt64)), data)
		require.NoError(t, part.Apply(&b))
		value, from, ok, err := state.NewVersionReader("v", codecs.String, codecs.Bytes).Get(part, "k")
		if err == nil && ok {
			encoded := []byte{0}
			if len(data) > 9 || data[8] == 1 {
				encoded = append([]byte{1}, value...)
			}
			require.Equal(t, data, state.AppendRowValue(nil, from, encoded))
		}
	})
}

// requireRestored restores a row and its deletion. local is the local row that goes with it, "" for none; localStays
// says that the deletion leaves it.
func requireRestored(t *testing.T, layout *state.Layout, key, value, local string, localStays bool) {
	t.Helper()
	var b, d state.Batch
	known, err := layout.RestoreRow(&b, []byte(key), []byte(value))
	require.NoError(t, err)
	require.True(t, known)
	known, err = layout.RestoreRow(&d, []byte(key), nil)
	require.NoError(t, err)
	require.True(t, known)
	set := []state.Op{{Key: []byte(key), Value: []byte(value)}}
	deleted := []state.Op{{Key: []byte(key)}}
	if local != "" {
		set = append(set, state.Op{Key: []byte(local), Value: []byte{}, Local: true})
		if !localStays {
			deleted = append(deleted, state.Op{Key: []byte(local), Local: true})
		}
	}
	require.Equal(t, set, slices.Collect(b.Ops()))
	require.Equal(t, deleted, slices.Collect(d.Ops()))
}

func TestLayout_timeOrders(t *testing.T) {
	layout, err := state.NewLayout(
		state.Spec{Name: "s", Kind: state.SessionKind},
		state.Spec{Name: "v", Kind: state.VersionedKind},
		state.Spec{Name: "e", Kind: state.KeyValueKind, TTL: time.Second},
	)
	require.NoError(t, err)
	const one, two, end = "\x80\x00\x00\x00\x00\x00\x00\x01", "\x80\x00\x00\x00\x00\x00\x00\x02", "\xff\xff\xff\xff\xff\xff\xff\xff"
	for name, test := range map[string]struct{ key, value, local string }{
		"session":         {"s\x00a\x00\x01" + two + one, one + "v", "\x01s\x00" + two + one + "a\x00\x01"},
		"version":         {"v\x00a\x00\x01" + two, one + "\x01v", "\x01v\x00" + two + "a\x00\x01"},
		"current version": {"v\x00a\x00\x01" + end, one + "\x01v", ""},
		"expiring":        {"e\x00a", one + "v", "\x01e\x00" + one + "a"},
	} {
		t.Run(name, func(t *testing.T) {
			// A tombstone does not say what the row held, and so not where a local row for its content is.
			requireRestored(t, layout, test.key, test.value, test.local, name == "expiring")
		})
	}
	for _, bad := range []struct{ key, value string }{
		{"s\x00a\x00\x01" + one, one},
		{"s\x00a\x00\x01" + one + two, one}, // ends before it starts
		{"v\x00a\x00\x01" + one + two, one},
		{"v\x00a", one},
		{"e\x00a", "short"},
	} {
		var b state.Batch
		_, err := layout.RestoreRow(&b, []byte(bad.key), []byte(bad.value))
		require.ErrorContains(t, err, "restore store", bad)
		require.Zero(t, b.Len())
	}
}

func TestTimeStores_failures(t *testing.T) {
	broken := &countingPartition{Partition: openMemory(t)}
	sessions, err := state.NewSessions(state.Spec{Name: "s", Kind: state.SessionKind}, broken, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	versions, err := state.NewVersioned(state.Spec{Name: "v", Kind: state.VersionedKind}, broken, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	expiring, err := state.NewExpiring(state.Spec{Name: "e", Kind: state.KeyValueKind, TTL: time.Hour}, broken, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	broken.err = bytes.ErrTooLarge
	for name, do := range map[string]func() error{
		"sessions: find": func() error {
			for _, err := range sessions.FindSessions("k", 0, 1) {
				return err
			}
			return nil
		},
		"sessions: expire": func() error { _, err := sessions.Expire(5); return err },
		"versions: put":    func() error { return versions.Put("k", "v", 9) },
		"versions: delete": func() error { return versions.Delete("k", 9) },
		"versions: as of":  func() error { _, _, _, err := versions.GetAsOf("k", 1); return err },
		"versions: expire": func() error { _, err := versions.Expire(5); return err },
		"expiring: get":    func() error { _, _, _, err := expiring.Get("k"); return err },
		"expiring: expire": func() error { _, err := expiring.Expire(5); return err },
	} {
		require.ErrorIs(t, do(), bytes.ErrTooLarge, name)
		require.ErrorContains(t, do(), "store", name)
	}
	require.Zero(t, versions.DirtyBytes(), "a change that failed changed nothing")
}

// TestVersioned_readsOnce shows that the version that is valid now is cached like any row.
func TestVersioned_readsOnce(t *testing.T) {
	part := &countingPartition{Partition: openMemory(t)}
	s, err := state.NewVersioned(state.Spec{Name: "v", Kind: state.VersionedKind}, part, nil, codecs.Int64, codecs.Int64)
	require.NoError(t, err)
	require.NoError(t, s.Put(1, 1, 1))
	gets := part.gets
	for i := range int64(10) {
		_, _, ok, err := s.Get(1)
		require.NoError(t, err)
		require.True(t, ok)
		require.NoError(t, s.Put(1, i, i+1))
	}
	require.Equal(t, gets, part.gets)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _, _, err := s.GetAsOf(1, 20)
		require.NoError(t, err)
	}))
}
