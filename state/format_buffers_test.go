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

func newSuppress(t testing.TB, part state.Partition) *state.SuppressBuffer[string, string] {
	t.Helper()
	s, err := state.NewSuppressBuffer(state.Spec{Name: "s", Kind: state.SuppressKind}, part, nil, codecs.String, badCodec{})
	require.NoError(t, err)
	return s
}

func newJoin(t testing.TB, part state.Partition) *state.JoinBuffer[string, string] {
	t.Helper()
	spec := state.Spec{Name: "j", Kind: state.JoinKind, Retention: time.Second}
	s, err := state.NewJoinBuffer(spec, part, nil, codecs.String, badCodec{})
	require.NoError(t, err)
	return s
}

func newQueue(t testing.TB, part state.Partition) *state.TimeQueue[string, string] {
	t.Helper()
	s, err := state.NewTimeQueue(state.Spec{Name: "q", Kind: state.QueueKind}, part, nil, codecs.String, badCodec{})
	require.NoError(t, err)
	return s
}

// TestBuffers_examples are the examples in docs/formats.md.
func TestBuffers_examples(t *testing.T) {
	const zero, one, two = "\x80\x00\x00\x00\x00\x00\x00\x00", "\x80\x00\x00\x00\x00\x00\x00\x01", "\x80\x00\x00\x00\x00\x00\x00\x02"
	ops := func(s state.Store) []state.Op {
		var b state.Batch
		require.NoError(t, s.Flush(&b))
		return slices.Collect(b.Ops())
	}
	part := openMemory(t)
	s := newSuppress(t, part)
	require.NoError(t, s.Put("LH", 1, state.TableUpdate[string]{Old: "A", HasOld: true, Timestamp: 1}))
	require.NoError(t, s.Put("LH", 2, state.TableUpdate[string]{Value: "B", HasValue: true, Timestamp: 2, Headers: []byte("h")}))
	require.Equal(t, []state.Op{
		{Key: []byte("s\x00"), Value: []byte(one + "\x80\x00\x00\x00\x00\x00\x00\x20")},
		{
			Key:   []byte("s\x00" + "LH\x00\x01"),
			Value: []byte(one + "\x07" + two + "\x00\x00\x00\x01h" + "\x00\x00\x00\x01A" + "B"),
		},
		{Key: []byte("\x01s\x00" + one + "LH\x00\x01"), Value: []byte{}, Local: true},
	}, ops(s))

	j := newJoin(t, part)
	_, err := j.Put("LH", 2, "v")
	require.NoError(t, err)
	require.Equal(t, []state.Op{
		{Key: []byte("j\x00"), Value: []byte(one)},
		{Key: []byte("j\x00" + "LH\x00\x01" + two + zero), Value: []byte(two + "v")},
		{Key: []byte("\x01j\x00" + two + zero + "LH\x00\x01"), Value: []byte{}, Local: true},
	}, ops(j))

	q := newQueue(t, part)
	_, err = q.Put("LH", 2, state.LeftSide, "v")
	require.NoError(t, err)
	require.Equal(t, []state.Op{
		{Key: []byte("q\x00"), Value: []byte(one)},
		{Key: []byte("q\x00" + two + "\x01" + "LH\x00\x01" + zero), Value: []byte(two + "v")},
	}, ops(q))
}

func FuzzJoinKey_order(f *testing.F) {
	keys := []string{"", "\x00", "\x00\x01", "\x00\xff", "a", "a\x00", "a\x00\x01", "ab", "\xff"}
	for _, a := range keys {
		for _, b := range keys {
			f.Add([]byte(a), int64(0), int64(3), []byte(b), int64(-1), int64(4))
		}
	}
	f.Add([]byte("a"), int64(math.MinInt64), int64(0), []byte("a"), int64(math.MaxInt64), int64(0))
	f.Fuzz(func(t *testing.T, a []byte, timeA, seqA int64, b []byte, timeB, seqB int64) {
		keyA, keyB := state.AppendJoinKey(nil, a, timeA, seqA), state.AppendJoinKey(nil, b, timeB, seqB)
		want := cmp.Or(bytes.Compare(a, b), cmp.Compare(timeA, timeB), cmp.Compare(seqA, seqB))
		require.Equal(t, want, bytes.Compare(keyA, keyB), "%q@%d#%d and %q@%d#%d", a, timeA, seqA, b, timeB, seqB)
		key, timestamp, seq, err := state.SplitJoinKey([]byte("dst:"), keyA)
		require.NoError(t, err)
		require.Equal(t, append([]byte("dst:"), a...), key)
		require.Equal(t, []int64{timeA, seqA}, []int64{timestamp, seq})
	})
}

func FuzzSplitJoinKey(f *testing.F) {
	f.Add(state.AppendJoinKey(nil, []byte("a\x00b"), 5, 6))
	f.Add([]byte{})
	f.Add([]byte("a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, timestamp, seq, err := state.SplitJoinKey(nil, data)
		if err != nil {
			return
		}
		require.Equal(t, data, state.AppendJoinKey([]byte{}, key, timestamp, seq), "one record has one key")
	})
}

func FuzzQueueKey_order(f *testing.F) {
	keys := []string{"", "\x00", "\x00\x01", "\x00\xff", "a", "a\x00", "a\x00\x01", "ab", "\xff"}
	for _, a := range keys {
		for _, b := range keys {
			f.Add([]byte(a), int64(1), true, int64(3), []byte(b), int64(1), true, int64(4))
		}
	}
	f.Add([]byte("a"), int64(math.MinInt64), true, int64(0), []byte("b"), int64(math.MaxInt64), false, int64(0))
	f.Add([]byte("a"), int64(1), true, int64(0), []byte("b"), int64(1), false, int64(0))
	f.Fuzz(func(t *testing.T, a []byte, timeA int64, leftA bool, seqA int64, b []byte, timeB int64, leftB bool, seqB int64) {
		place := func(time int64, left bool, seq int64) state.QueuePlace {
			p := state.QueuePlace{Time: time, Side: state.RightSide, Seq: seq}
			if left {
				p.Side = state.LeftSide
			}
			return p
		}
		placeA, placeB := place(timeA, leftA, seqA), place(timeB, leftB, seqB)
		keyA, keyB := state.AppendQueueKey(nil, a, placeA), state.AppendQueueKey(nil, b, placeB)
		want := cmp.Or(cmp.Compare(timeA, timeB), cmp.Compare(placeA.Side, placeB.Side), bytes.Compare(a, b), cmp.Compare(seqA, seqB))
		require.Equal(t, want, bytes.Compare(keyA, keyB), "%q %v and %q %v", a, placeA, b, placeB)
		key, got, err := state.SplitQueueKey([]byte("dst:"), keyA)
		require.NoError(t, err)
		require.Equal(t, append([]byte("dst:"), a...), key)
		require.Equal(t, placeA, got)
	})
}

func FuzzSplitQueueKey(f *testing.F) {
	f.Add(state.AppendQueueKey(nil, []byte("a\x00b"), state.QueuePlace{Time: 5, Side: state.LeftSide, Seq: 6}))
	f.Add(state.AppendQueueKey(nil, []byte("a"), state.QueuePlace{Side: 2}))
	f.Add([]byte{})
	f.Add([]byte("12345678\x00a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, place, err := state.SplitQueueKey(nil, data)
		if err != nil {
			return
		}
		require.Equal(t, data, state.AppendQueueKey([]byte{}, key, place), "one entry has one key")
	})
}

// FuzzSuppressRow gives a buffer rows of any bytes. What it can read, it writes again as it was.
func FuzzSuppressRow(f *testing.F) {
	const place, at = "12345678", "87654321"
	for _, data := range []string{
		"", place, place + "\x00" + at, place + "\x01" + at + "v", place + "\x01" + at, place + "\x00" + at + "v",
		place + "\x02" + at + "\x00\x00\x00\x01p", place + "\x02" + at + "\x00\x00\x00\x02p", place + "\x03" + at + "\x00\x00\x00\x00v",
		place + "\x04" + at + "\x00\x00\x00\x00", place + "\x07" + at + "\x00\x00\x00\x01h\x00\x00\x00\x01pv", place + "\x08" + at,
		place + "\x04" + at + "\xff\xff\xff\xff",
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		part := openMemory(t)
		var b state.Batch
		b.Set([]byte("s\x00k\x00\x01"), data)
		require.NoError(t, part.Apply(&b))
		s, err := state.NewSuppressBuffer(state.Spec{Name: "s", Kind: state.SuppressKind}, part, nil, codecs.String, codecs.Bytes)
		require.NoError(t, err)
		e, ok, err := s.Get("k")
		if err != nil {
			return
		}
		require.True(t, ok)
		other, err := state.NewSuppressBuffer(s.Spec(), openMemory(t), nil, codecs.String, codecs.Bytes)
		require.NoError(t, err)
		require.NoError(t, other.Put("k", e.Time, e.TableUpdate))
		require.EqualValues(t, 3+len(data), other.Bytes())
		b.Reset()
		require.NoError(t, other.Flush(&b))
		require.Equal(t, data, slices.Collect(b.Ops())[1].Value)
	})
}

func TestLayout_buffers(t *testing.T) {
	layout, err := state.NewLayout(
		state.Spec{Name: "s", Kind: state.SuppressKind},
		state.Spec{Name: "j", Kind: state.JoinKind},
		state.Spec{Name: "q", Kind: state.QueueKind},
	)
	require.NoError(t, err)
	const one, two = "\x80\x00\x00\x00\x00\x00\x00\x01", "\x80\x00\x00\x00\x00\x00\x00\x02"
	for name, test := range map[string]struct{ key, value, local string }{
		"suppressed":  {"s\x00a\x00\x01", one + "\x00" + one, "\x01s\x00" + one + "a\x00\x01"},
		"totals":      {"s\x00", one + one, ""},
		"record":      {"j\x00a\x00\x01" + two + one, one + "v", "\x01j\x00" + two + one + "a\x00\x01"},
		"join number": {"j\x00", one, ""},
		"queued":      {"q\x00" + two + "\x01" + "a\x00\x01" + one, one + "v", ""},
		"next number": {"q\x00", one, ""},
	} {
		t.Run(name, func(t *testing.T) {
			// A tombstone does not say what the row held, and so not where a local row for its content is.
			requireRestored(t, layout, test.key, test.value, test.local, name == "suppressed")
		})
	}
	for _, bad := range []struct{ key, value string }{
		{"s\x00a", one},
		{"s\x00a\x00\x01x", one},
		{"s\x00a\x00\x01", "short"},
		{"j\x00a\x00\x01" + one, one},
		{"q\x00short", one},
		{"q\x00" + one + "\x02a\x00\x01" + one, one},
		{"q\x00" + one + "\x01a\x00\x01" + "short", one},
	} {
		var b state.Batch
		_, err := layout.RestoreRow(&b, []byte(bad.key), []byte(bad.value))
		require.ErrorContains(t, err, "restore store", bad)
		require.Zero(t, b.Len())
	}
}
