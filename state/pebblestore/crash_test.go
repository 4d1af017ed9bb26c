package pebblestore

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

// The batches of the crash test can be computed from their offset, so that the state at each offset is known.

const (
	crashKeys  = 40
	crashValue = 12_000 // so that a memtable is full after some 15 batches
)

// crashChanges returns the keys that the batch changes: it sets them to its offset, and every seventh one deletes them.
func crashChanges(p int32, offset int64) (keys []string, isDelete bool) {
	rng := rand.New(rand.NewPCG(uint64(p), uint64(offset)))
	for range 1 + rng.IntN(5) {
		keys = append(keys, fmt.Sprintf("store\x00%02d", rng.IntN(crashKeys)))
	}
	return keys, offset%7 == 0
}

func crashBatch(p int32, offset int64) *state.Batch {
	b := new(state.Batch)
	value := make([]byte, 8+rand.New(rand.NewPCG(uint64(offset), uint64(p))).IntN(crashValue))
	binary.BigEndian.PutUint64(value, uint64(offset))
	keys, isDelete := crashChanges(p, offset)
	for _, key := range keys {
		if isDelete {
			b.Delete([]byte(key))
		} else {
			b.Set([]byte(key), value)
		}
	}
	b.SetOffset(offset)
	return b
}

func crashState(p int32, offset int64) map[string]int64 {
	rows := map[string]int64{}
	for o := range offset + 1 {
		keys, isDelete := crashChanges(p, o)
		for _, key := range keys {
			if isDelete {
				delete(rows, key)
			} else {
				rows[key] = o
			}
		}
	}
	return rows
}

// requireState checks that the rows of every partition are those of its offset, which is at least what was flushed.
func requireState(t *testing.T, e *engine, flushed map[int32]int64) {
	t.Helper()
	for p, least := range flushed {
		part, err := e.Open(p)
		require.NoError(t, err)
		offset, ok := part.Offset()
		if !ok {
			offset = -1
		}
		require.GreaterOrEqual(t, offset, least, "partition %d: offset after the crash", p)
		rows := map[string]int64{}
		for row, err := range part.Scan(nil, nil) {
			require.NoError(t, err)
			rows[string(row.Key)] = int64(binary.BigEndian.Uint64(row.Value))
		}
		require.Equal(t, crashState(p, offset), rows, "partition %d: rows at offset %d", p, offset)
	}
}

// TestEngine_crash cuts the power at random moments and checks that rows and offset always belong together (D1), and
// that what was flushed is there (D2).
func TestEngine_crash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	const partitions = 3
	opts := Options{Memory: newMemory(t, 2<<20, partitions)}
	files := vfs.NewCrashableMem()
	flushed := map[int32]int64{}
	next := map[int32]int64{}
	for p := range int32(partitions) {
		flushed[p] = -1
	}
	unasked := 0 // times that more survived than was flushed
	for range 12 {
		e := openMem(t, files, opts)
		requireState(t, e, flushed)
		parts := map[int32]state.Partition{}
		for p := range int32(partitions) {
			part, err := e.Open(p)
			require.NoError(t, err)
			parts[p] = part
			next[p] = 0
			if offset, ok := part.Offset(); ok {
				next[p] = offset + 1
			}
			if next[p] > flushed[p]+1 {
				unasked++
				flushed[p] = next[p] - 1
			}
		}
		for range rng.IntN(120) {
			p := rng.Int32N(partitions)
			require.NoError(t, parts[p].Apply(crashBatch(p, next[p])))
			next[p]++
			if rng.IntN(200) == 0 {
				require.NoError(t, e.Flush())
				for p, offset := range next {
					flushed[p] = offset - 1
				}
			}
		}
		crashed := files.CrashClone(vfs.CrashCloneCfg{
			UnsyncedDataPercent: rng.IntN(3) * 50,
			RNG:                 rand.New(rand.NewPCG(rng.Uint64(), 0)),
		})
		require.NoError(t, e.Close()) // changes the file system of before the crash only
		files = crashed
	}
	require.NotZero(t, unasked, "the crashes never met a memtable that pebble had flushed by itself: the test shows nothing")
}

// TestEngine_cleanStop checks that Close loses nothing.
func TestEngine_cleanStop(t *testing.T) {
	files := vfs.NewCrashableMem()
	e := openMem(t, files, Options{})
	part, err := e.Open(5)
	require.NoError(t, err)
	for offset := range int64(50) {
		require.NoError(t, part.Apply(crashBatch(5, offset)))
	}
	require.NoError(t, e.Close())
	e = openMem(t, files.CrashClone(vfs.CrashCloneCfg{}), Options{})
	defer func() { require.NoError(t, e.Close()) }()
	requireState(t, e, map[int32]int64{5: 49})
	ps, err := e.Partitions()
	require.NoError(t, err)
	require.Equal(t, []int32{5}, ps)
}

// TestEngine_dropCrash checks that a dropped partition stays dropped, and that nothing of it is left behind.
func TestEngine_dropCrash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, unsynced := range []int{0, 50, 100} {
		files := vfs.NewCrashableMem()
		e := openMem(t, files, Options{})
		for p := range int32(2) {
			part, err := e.Open(p)
			require.NoError(t, err)
			require.NoError(t, part.Apply(crashBatch(p, 0)))
			require.NoError(t, part.Apply(crashBatch(p, 1)))
		}
		require.NoError(t, e.Flush())
		require.NoError(t, e.Drop(1))
		crashed := files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rand.New(rand.NewPCG(seed, uint64(unsynced)))})
		require.NoError(t, e.Close())
		e = openMem(t, crashed, Options{})
		requireState(t, e, map[int32]int64{0: 1, 1: -1})
		ps, err := e.Partitions()
		require.NoError(t, err)
		require.Equal(t, []int32{0}, ps)
		names, err := crashed.List("/db")
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"LOCK", "0.0", "1.1"}, names)
		require.NoError(t, e.Close())
	}
}
