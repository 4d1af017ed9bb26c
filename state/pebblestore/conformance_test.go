package pebblestore

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed84377926/millrace/state"
	"github.com/seed84377926/millrace/state/statetest"
)

const (
	patience = 10 * time.Second
	tick     = time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEngine_conforms(t *testing.T) {
	t.Run("on disk", func(t *testing.T) {
		statetest.Run(t, func(t *testing.T) state.Engine {
			e, err := Open(t.TempDir(), Options{})
			require.NoError(t, err)
			return e
		})
	})
	// The smallest sizes: everything is flushed, compacted and read from files all the time.
	t.Run("tiny", func(t *testing.T) {
		opts := Options{Memory: newMemory(t, 1, 1), Compress: true}
		statetest.Run(t, func(t *testing.T) state.Engine { return openMem(t, vfs.NewMem(), opts) })
	})
}

// openMem opens an engine on a file system in memory.
func openMem(t testing.TB, files *vfs.MemFS, opts Options) *engine {
	t.Helper()
	require.NoError(t, makeDirs(files, "/db"))
	e, err := open(files, "/db", opts)
	require.NoError(t, err)
	return e
}

// newMemory makes a memory for the length of a test.
func newMemory(t testing.TB, bytes int64, partitions int) *Memory {
	t.Helper()
	memory := NewMemory(bytes, partitions)
	t.Cleanup(memory.Close)
	return memory
}

// database returns the open database of a partition.
func (e *engine) database(t testing.TB, p int32) *database {
	t.Helper()
	db := e.part(p).current.Load()
	require.NotNil(t, db, "partition %d is not open", p)
	return db
}
