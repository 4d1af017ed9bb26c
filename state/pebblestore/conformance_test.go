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
		opts := Options{CacheBytes: 1, MemTableBytes: minMemTableBytes, MaxOpenFiles: minOpenFiles, Compress: true}
		statetest.Run(t, func(t *testing.T) state.Engine { return openMem(t, vfs.NewMem(), opts) })
	})
}

// openMem opens an engine on a file system in memory.
func openMem(t testing.TB, files *vfs.MemFS, opts Options) *engine {
	t.Helper()
	require.NoError(t, files.MkdirAll("/db", 0o755))
	e, err := open(files, "/db", opts)
	require.NoError(t, err)
	return e
}
