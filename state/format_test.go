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

func TestRowKey(t *testing.T) {
	key := state.AppendRowKey([]byte("dst:"), "store", []byte("k\x00"))
	require.Equal(t, "dst:store\x00k\x00", string(key))
	store, storeKey, ok := state.SplitRowKey([]byte("store\x00k\x00"))
	require.True(t, ok)
	require.Equal(t, "store", store)
	require.Equal(t, "k\x00", string(storeKey))
	store, storeKey, ok = state.SplitRowKey([]byte("store\x00"))
	require.True(t, ok)
	require.Equal(t, "store", store)
	require.Empty(t, storeKey)
	for _, foreign := range []string{"", "\x00", state.PositionKey, "\x01store\x00k", "no end"} {
		_, _, ok := state.SplitRowKey([]byte(foreign))
		require.False(t, ok, "%q", foreign)
	}
}

func TestRowValue(t *testing.T) {
	value := state.AppendRowValue([]byte("dst:"), -1, []byte("v"))
	require.Equal(t, "dst:\x7f\xff\xff\xff\xff\xff\xff\xffv", string(value))
	timestamp, encoded, err := state.SplitRowValue(value[4:])
	require.NoError(t, err)
	require.EqualValues(t, -1, timestamp)
	require.Equal(t, "v", string(encoded))
	_, encoded, err = state.SplitRowValue(make([]byte, 8))
	require.NoError(t, err)
	require.NotNil(t, encoded)
	_, _, err = state.SplitRowValue(make([]byte, 7))
	require.ErrorContains(t, err, "7 bytes")
}

// TestWindowKey_bytes is the format that docs/formats.md describes.
func TestWindowKey_bytes(t *testing.T) {
	require.Equal(t, "a\x00\xffb\x00\x01"+"\x80\x00\x00\x00\x00\x00\x00\x0a", string(state.AppendWindowKey(nil, []byte("a\x00b"), 10)))
	require.Equal(t, "\x00\x01"+"\x7f\xff\xff\xff\xff\xff\xff\xff", string(state.AppendWindowKey(nil, nil, -1)))
}

// TestFormats_example is the example of a window row in docs/formats.md.
func TestFormats_example(t *testing.T) {
	part := openMemory(t)
	spec := state.Spec{Name: "hourly", Kind: state.WindowKind, WindowSize: time.Hour}
	w, err := state.NewWindowed(spec, part, nil, codecs.String, codecs.String)
	require.NoError(t, err)
	require.NoError(t, w.Put("LH", 1000, "v", 1500))
	var b state.Batch
	require.NoError(t, w.Flush(&b))
	require.Equal(t, []state.Op{
		{
			Key:   []byte("hourly\x00" + "LH\x00\x01" + "\x80\x00\x00\x00\x00\x00\x03\xe8"),
			Value: []byte("\x80\x00\x00\x00\x00\x00\x05\xdc" + "v"),
		},
		{
			Key:   []byte("\x01hourly\x00" + "\x80\x00\x00\x00\x00\x00\x03\xe8" + "LH\x00\x01"),
			Value: []byte{},
			Local: true,
		},
	}, slices.Collect(b.Ops()))
}

func FuzzWindowKey_order(f *testing.F) {
	keys := []string{"", "\x00", "\x00\x01", "\x00\xff", "a", "a\x00", "a\x00\x01", "ab", "\xff"}
	for _, a := range keys {
		for _, b := range keys {
			f.Add([]byte(a), int64(0), []byte(b), int64(-1))
		}
	}
	f.Add([]byte("a"), int64(math.MinInt64), []byte("a"), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a []byte, startA int64, b []byte, startB int64) {
		keyA, keyB := state.AppendWindowKey(nil, a, startA), state.AppendWindowKey(nil, b, startB)
		want := cmp.Or(bytes.Compare(a, b), cmp.Compare(startA, startB))
		require.Equal(t, want, bytes.Compare(keyA, keyB), "%q@%d and %q@%d", a, startA, b, startB)
		key, start, err := state.SplitWindowKey([]byte("dst:"), keyA)
		require.NoError(t, err)
		require.Equal(t, append([]byte("dst:"), a...), key)
		require.Equal(t, startA, start)
	})
}

func FuzzSplitWindowKey(f *testing.F) {
	f.Add(state.AppendWindowKey(nil, []byte("a\x00b"), 5))
	f.Add([]byte{})
	f.Add([]byte{0, 1})
	f.Add([]byte{0, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte("a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, start, err := state.SplitWindowKey(nil, data)
		if err != nil {
			return
		}
		require.Equal(t, data, state.AppendWindowKey([]byte{}, key, start), "one window has one key")
	})
}

func FuzzSplitIndexKey(f *testing.F) {
	f.Add(state.AppendIndexKey(nil, []byte("a\x00b"), []byte("k\x00")))
	f.Add([]byte{})
	f.Add([]byte{0, 1})
	f.Add([]byte{0, 2, 'k'})
	f.Add([]byte("a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		index, key, err := state.SplitIndexKey(nil, data)
		if err != nil {
			return
		}
		require.Equal(t, data, state.AppendIndexKey([]byte{}, index, key), "one place has one key")
	})
}

func TestLayout(t *testing.T) {
	layout, err := state.NewLayout(
		state.Spec{Name: "kv", Kind: state.KeyValueKind},
		state.Spec{Name: "w", Kind: state.WindowKind, WindowSize: time.Second},
	)
	require.NoError(t, err)
	windowKey := state.AppendWindowKey(nil, []byte("a"), 1)
	windowRow := state.AppendRowKey(nil, "w", windowKey)
	index := []byte("\x01w\x00" + "\x80\x00\x00\x00\x00\x00\x00\x01" + "a\x00\x01")
	for name, test := range map[string]struct {
		key, value []byte
		known      bool
		want       []state.Op
	}{
		"row": {
			[]byte("kv\x00a"), []byte("v"), true,
			[]state.Op{{Key: []byte("kv\x00a"), Value: []byte("v")}},
		},
		"empty row":   {[]byte("kv\x00"), []byte{}, true, []state.Op{{Key: []byte("kv\x00"), Value: []byte{}}}},
		"tombstone":   {[]byte("kv\x00a"), nil, true, []state.Op{{Key: []byte("kv\x00a")}}},
		"position":    {[]byte(state.PositionKey), []byte("p"), true, []state.Op{{Key: []byte(state.PositionKey), Value: []byte("p")}}},
		"window":      {windowRow, []byte("v"), true, []state.Op{{Key: windowRow, Value: []byte("v")}, {Key: index, Value: []byte{}, Local: true}}},
		"old window":  {windowRow, nil, true, []state.Op{{Key: windowRow}, {Key: index, Local: true}}},
		"other store": {[]byte("kv2\x00a"), []byte("v"), false, nil},
		"local row":   {index, []byte{}, false, nil},
		"no store":    {[]byte("kv"), []byte("v"), false, nil},
		"empty key":   {[]byte{}, []byte("v"), false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var b state.Batch
			known, err := layout.RestoreRow(&b, test.key, test.value)
			require.NoError(t, err)
			require.Equal(t, test.known, known)
			require.Equal(t, test.want, slices.Collect(b.Ops()))
		})
	}
	for _, bad := range []string{"w\x00", "w\x00abc", "w\x00a\x00\x01short", "w\x00a\x00\x01too long 8", "w\x00a\x00\x0212345678"} {
		var b state.Batch
		_, err := layout.RestoreRow(&b, []byte(bad), nil)
		require.ErrorContains(t, err, `restore store "w"`, bad)
		require.Zero(t, b.Len())
	}
}
