package state_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

func TestBatch(t *testing.T) {
	var b state.Batch
	key, value := []byte("key"), []byte("value")
	b.Set(key, value)
	b.Delete(key)
	b.SetLocal(key, value)
	b.DeleteLocal(key)
	b.Set(nil, nil)
	b.SetLocal([]byte{}, []byte{})
	copy(key, "XXX")
	copy(value, "XXXXX")
	require.Equal(t, []state.Op{
		{Key: []byte("key"), Value: []byte("value")},
		{Key: []byte("key")},
		{Key: []byte("key"), Value: []byte("value"), Local: true},
		{Key: []byte("key"), Local: true},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte{}, Value: []byte{}, Local: true},
	}, slices.Collect(b.Ops()))
	require.Equal(t, 6, b.Len())
	require.Equal(t, 4*len("key")+2*len("value"), b.Size())

	_, ok := b.Offset()
	require.False(t, ok)
	b.SetOffset(7)
	offset, ok := b.Offset()
	require.True(t, ok)
	require.EqualValues(t, 7, offset)

	b.Reset()
	require.Zero(t, b.Len())
	require.Zero(t, b.Size())
	require.Empty(t, slices.Collect(b.Ops()))
	_, ok = b.Offset()
	require.False(t, ok)
}

func TestBatch_emptyValueOfFirstRow(t *testing.T) {
	var b state.Batch
	b.Set(nil, nil)
	for op := range b.Ops() {
		require.NotNil(t, op.Key)
		require.NotNil(t, op.Value, "an empty value is not a deletion")
	}
}

// TestBatch_growth checks that ops taken from a batch stay what they were when more are added.
func TestBatch_growth(t *testing.T) {
	var b state.Batch
	b.Set([]byte("first"), []byte("1"))
	first := slices.Collect(b.Ops())[0]
	for range 1000 {
		b.Set(bytes.Repeat([]byte("k"), 100), bytes.Repeat([]byte("v"), 100))
	}
	require.Equal(t, state.Op{Key: []byte("first"), Value: []byte("1")}, first)
	require.Equal(t, []byte("first"), slices.Collect(b.Ops())[0].Key)
}

func TestBatch_reuse(t *testing.T) {
	var b state.Batch
	fill := func() {
		for range 100 {
			b.Set([]byte("key"), []byte("value"))
		}
	}
	fill()
	require.Zero(t, testing.AllocsPerRun(10, func() {
		b.Reset()
		fill()
	}))
}
