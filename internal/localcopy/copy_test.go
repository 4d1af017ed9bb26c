package localcopy

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/pebblestore"
)

// goka asks for the offset, and then for the restart. Rows that are dropped before, between or after these are read
// again.
func TestCopy_isReadAnewWheneverItIsDropped(t *testing.T) {
	for _, when := range []string{"before", "between", "after"} {
		t.Run(when, func(t *testing.T) {
			b := newBench(t, 0)
			require.NoError(t, b.bring(0, "k", "v", 7))
			drop := func(now string) {
				if now == when {
					b.disk.damage = errDamage
					_, err := b.get("k")
					require.ErrorIs(t, err, errRebuilding)
					require.ErrorIs(t, err, pebblestore.ErrCorrupt)
				}
			}
			drop("before")
			offset, known := b.copy.Store(0).Offset()
			drop("between")
			restart := b.copy.Restart(0)
			require.Equal(t, when == "between", isClosed(restart))
			drop("after")
			require.Equal(t, when != "before", isClosed(restart))
			require.Equal(t, when != "before", known, "offset %d", offset)

			if when != "before" { // the reading for the rows that are gone is over, and begins again
				require.ErrorIs(t, b.bring(0, "l", "v", 9), errRebuilding, "it would leave a gap")
				_, known = b.copy.Store(0).Offset()
				require.False(t, known)
				require.False(t, isClosed(b.copy.Restart(0)))
			}
			b.requireRefused()
			require.NoError(t, b.bring(0, "j", "v", 6))
			b.requireRefused()
			require.NoError(t, b.bring(0, "k", "v", 7))
			b.requireRow("k", "v")
			require.EqualValues(t, 1, b.copy.Damaged())
			require.Equal(t, 1, b.contents.dropped)
		})
	}
}

// All sources are in one store: all are dropped, and readers wait for the last of them.
func TestCopy_readersWaitForEverySource(t *testing.T) {
	b := newBench(t, 0, 1, 2)
	require.NoError(t, b.bring(0, "a", "1", 4))
	require.NoError(t, b.bring(1, "b", "1", 6))
	unread := b.copy.Restart(2)
	b.disk.damage = errDamage
	require.ErrorIs(t, b.bring(1, "b", "2", 8), pebblestore.ErrCorrupt, "a write meets it")
	require.False(t, isClosed(unread), "nothing of it was dropped")
	for p := range int32(2) {
		require.True(t, isClosed(b.copy.Restart(p)))
		_, known := b.copy.Store(p).Offset()
		require.False(t, known)
	}
	require.NoError(t, b.bring(2, "c", "1", 1))
	require.NoError(t, b.bring(1, "b", "2", 8))
	b.requireRefused()
	require.NoError(t, b.bring(0, "a", "1", 4))
	b.requireRow("a", "1")
	b.requireRow("b", "2")
	b.requireRow("c", "1")
	last, known := b.copy.Offset(1)
	require.True(t, known)
	require.EqualValues(t, 8, last)
}

// A drop that comes while a reader reads must not make rows look deleted.
func TestCopy_aReadThatADropOverlapsIsRefused(t *testing.T) {
	b := newBench(t, 0)
	require.NoError(t, b.bring(0, "k", "v", 7))
	b.disk.onGet = func() {
		b.disk.onGet = nil
		b.disk.damage = errDamage
		_, err := b.get("other") // another reader meets the damage, and the rows are dropped
		require.ErrorIs(t, err, errRebuilding)
		b.copy.Store(0).Offset()
		require.NoError(t, b.bring(0, "l", "v", 7))
		b.requireRow("l", "v")
	}
	_, err := b.get("k")
	require.ErrorIs(t, err, errRebuilding)

	rows := 0
	for _, err := range b.copy.Rows().Scan(nil, nil) {
		if rows++; rows == 1 {
			require.NoError(t, err)
			b.disk.damage = errDamage
			_, err = b.get("l")
		}
		require.True(t, err == nil || errors.Is(err, errRebuilding))
	}
	require.Equal(t, 2, rows, "the second is the error")
}

func TestCopy_oneDamageIsOneDrop(t *testing.T) {
	b := newBench(t, 0)
	require.NoError(t, b.bring(0, "k", "v", 7))
	b.disk.damage = errDamage
	generation, err := guarded{b.copy.store, b.copy}.begin()
	require.NoError(t, err)
	_, err = b.get("k")
	require.ErrorIs(t, err, errRebuilding)
	b.copy.Store(0).Offset()
	require.NoError(t, b.bring(0, "k", "v", 7))
	b.requireRow("k", "v")

	late := guarded{b.copy.store, b.copy}.check(generation, errDamage)
	require.ErrorIs(t, late, errRebuilding)
	require.Equal(t, 1, b.disk.drops)
	b.requireRow("k", "v")
}

// What breaks again while it is read again is dropped again, and its readers see what they saw before.
func TestCopy_damageWhileItIsReadAgain(t *testing.T) {
	b := newBench(t, 0)
	require.NoError(t, b.bring(0, "k", "v", 7))
	b.disk.damage = errDamage
	_, err := b.get("k")
	require.ErrorIs(t, err, errRebuilding)
	b.copy.Store(0).Offset()
	require.NoError(t, b.bring(0, "j", "v", 3))
	b.disk.damage = errDamage
	require.ErrorIs(t, b.bring(0, "k", "v", 7), pebblestore.ErrCorrupt)
	require.Equal(t, 2, b.disk.drops)
	require.True(t, isClosed(b.copy.Restart(0)))
	_, known := b.copy.Store(0).Offset()
	require.False(t, known)
	require.NoError(t, b.bring(0, "j", "v", 3))
	b.requireRefused()
	require.NoError(t, b.bring(0, "k", "v", 7))
	b.requireRow("k", "v")
}

func TestCopy_aDropThatFailsIsTriedAgain(t *testing.T) {
	b := newBench(t, 0)
	require.NoError(t, b.bring(0, "k", "v", 7))
	b.disk.damage, b.disk.stuck = errDamage, true
	_, err := b.get("k")
	require.ErrorIs(t, err, errRebuilding)
	require.False(t, isClosed(b.copy.Restart(0)))
	last, known := b.copy.Offset(0)
	require.True(t, known)
	require.EqualValues(t, 7, last)
	require.Zero(t, b.contents.dropped)

	b.disk.stuck = false
	_, err = b.get("k")
	require.ErrorIs(t, err, errRebuilding)
	require.True(t, isClosed(b.copy.Restart(0)))
	require.Equal(t, 1, b.contents.dropped)
}

func TestOpen(t *testing.T) {
	b := newBench(t, 0, 1)
	require.NoError(t, b.bring(1, "k", "v", 7))
	b.open(0, 1)
	b.requireRow("k", "v")
	last, known := b.copy.Store(1).Offset()
	require.True(t, known)
	require.EqualValues(t, 7, last)
	_, known = b.copy.Store(0).Offset()
	require.False(t, known)

	b.contents.unusable = "another topic"
	b.open(0, 1)
	require.Equal(t, 1, b.disk.drops)
	require.Zero(t, b.copy.Damaged(), "there is no damage")
	_, known = b.copy.Store(1).Offset()
	require.False(t, known)
	b.requireRow("k", "")
	b.contents.unusable = ""

	require.NoError(t, b.bring(1, "k", "v", 7))
	b.disk.damage = errDamage
	b.open(0, 1)
	require.Equal(t, 2, b.disk.drops)
	require.EqualValues(t, 1, b.copy.Damaged())
	b.requireRow("k", "")

	b.disk.reformat = true
	b.open(0, 1)
	require.Equal(t, 3, b.disk.drops)
	b.requireRow("k", "")

	b.disk.damage, b.disk.stuck = errDamage, true
	_, err := Open(t.Context(), Config{Engine: b.disk, Sources: []int32{0}, Logger: b.copy.logger}, b.contents)
	require.Error(t, err)
}

func TestCopy_otherErrorsAreNoDamage(t *testing.T) {
	b := newBench(t, 0)
	require.NoError(t, b.bring(0, "k", "v", 7))
	b.disk.damage = state.ErrClosed
	_, err := b.get("k")
	require.ErrorIs(t, err, state.ErrClosed)
	require.ErrorIs(t, b.bring(0, "k", "v", 8), state.ErrClosed)
	require.Zero(t, b.copy.Damaged())
	require.Zero(t, b.disk.drops)
}
