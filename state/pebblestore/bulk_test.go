package pebblestore

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

// A batch that a restore brings is on the disk when Apply returns, with the offset that it reaches, again and again.
func TestPartition_bulkIsDurable(t *testing.T) {
	files := vfs.NewCrashableMem()
	e := openMem(t, files, Options{Memory: newMemory(t, 1, 1)})
	small, err := e.Open(0)
	require.NoError(t, err)
	require.NoError(t, small.Apply(crashBatch(0, 0)))
	require.NoError(t, e.Flush())
	bulky, err := e.Open(1)
	require.NoError(t, err)
	const rows = 3000
	for offset := range int64(2 * stopSublevels) {
		var b state.Batch
		for i := range rows {
			b.Set(fmt.Appendf(nil, "store\x00%04d", i), binary.BigEndian.AppendUint64(nil, uint64(offset)))
		}
		b.SetOffset(offset)
		require.True(t, e.database(t, 1).isBulk(&b))
		require.NoError(t, bulky.Apply(&b))
		require.LessOrEqual(t, e.database(t, 1).pebble.Metrics().Levels[0].Sublevels, int32(stopSublevels), "commits of others need not wait")
	}

	again := openMem(t, files.CrashClone(vfs.CrashCloneCfg{}), Options{})
	requireState(t, again, map[int32]int64{0: 0})
	part, err := again.Open(1)
	require.NoError(t, err)
	offset, ok := part.Offset()
	require.True(t, ok)
	require.Equal(t, int64(2*stopSublevels-1), offset)
	n := 0
	for row, err := range part.Scan(nil, nil) {
		require.NoError(t, err)
		require.Equal(t, uint64(offset), binary.BigEndian.Uint64(row.Value))
		n++
	}
	require.Equal(t, rows, n)
	require.NoError(t, e.Close())
	require.NoError(t, again.Close())
}
