package pebblestore

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

func TestMetrics_tellWhatIsOnDisk(t *testing.T) {
	opened, err := Open(t.TempDir(), Options{Memory: newMemory(t, 64<<20, 1)})
	require.NoError(t, err)
	e := opened.(*engine) //nolint:errcheck,forcetypeassert // it is one
	part, err := e.Open(3)
	require.NoError(t, err)
	var b state.Batch
	for i := range 1000 {
		b.Set(fmt.Appendf(nil, "store\x00%d", i), make([]byte, 1000))
	}
	require.NoError(t, part.Apply(&b))
	before, err := e.Metrics()
	require.NoError(t, err)
	require.Greater(t, before.MemTableBytes, int64(1_000_000))
	require.NoError(t, e.Flush())
	after, err := e.Metrics()
	require.NoError(t, err)
	require.Greater(t, after.LiveTableBytes, int64(100_000))
	require.Greater(t, after.Flushes, before.Flushes)
	used, err := e.DiskUsage(3)
	require.NoError(t, err)
	require.Greater(t, used, int64(100_000))
	other, err := e.DiskUsage(4)
	require.NoError(t, err)
	require.Less(t, other, used)

	require.NoError(t, e.Close())
	_, err = e.Metrics()
	require.ErrorIs(t, err, state.ErrClosed)
	_, err = e.DiskUsage(3)
	require.ErrorIs(t, err, state.ErrClosed)
}

func TestStalls_countTheOneUnderWay(t *testing.T) {
	var s stalls
	at := time.Unix(100, 0)
	s.begin(at)
	s.end(at.Add(2 * time.Second))
	s.begin(at.Add(5 * time.Second))
	n, total := s.read(at.Add(6 * time.Second))
	require.Equal(t, int64(2), n)
	require.Equal(t, 3*time.Second, total)
}
