package pebblestore

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

func TestOpen_locked(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, Options{})
	require.NoError(t, err)
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrLocked)
	require.ErrorContains(t, err, "give each its own directory")

	// The same directory by another name.
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	_, err = Open(link, Options{})
	require.ErrorIs(t, err, ErrLocked)

	require.NoError(t, e.Close())
	e, err = Open(link, Options{})
	require.NoError(t, err)
	require.NoError(t, e.Close())
}

// TestOpen_lockedByProcess runs itself as the other process.
func TestOpen_lockedByProcess(t *testing.T) {
	const variable = "PEBBLESTORE_TEST_DIR"
	if dir := os.Getenv(variable); dir != "" {
		_, err := Open(dir, Options{})
		require.ErrorIs(t, err, ErrLocked)
		return
	}
	dir := t.TempDir()
	e, err := Open(dir, Options{})
	require.NoError(t, err)
	other := exec.Command(os.Args[0], "-test.run=^TestOpen_lockedByProcess$")
	other.Env = append(os.Environ(), variable+"="+dir)
	out, err := other.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, e.Close())
}

func TestOpen_unwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Open(filepath.Join(file, "dir"), Options{})
	require.ErrorIs(t, err, syscall.ENOTDIR)
	require.ErrorContains(t, err, "choose a directory that this user can write")

	// A directory that exists and cannot be written: root may write anywhere, so the file system is made to refuse.
	denied := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return &fs.PathError{Op: "open", Path: op.Path, Err: fs.ErrPermission}
		}
		return nil
	}))
	_, err = open(denied, "/", Options{})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.NotErrorIs(t, err, ErrLocked)
}

func TestOpen_sharedMemory(t *testing.T) {
	memory := NewMemory(1<<20, 2)
	a, err := Open(t.TempDir(), Options{Memory: memory})
	require.NoError(t, err)
	b, err := Open(t.TempDir(), Options{Memory: memory})
	require.NoError(t, err)
	memory.Close()
	for _, e := range []state.Engine{a, b} {
		part, err := e.Open(0)
		require.NoError(t, err)
		require.NoError(t, part.Apply(crashBatch(0, 0)))
		require.NoError(t, e.Close())
	}
}

// TestNewMemory checks the sizes: two memtables for each partition are two fifths of the whole, within what works.
func TestNewMemory(t *testing.T) {
	const mib = 1 << 20
	for _, test := range []struct {
		bytes      int64
		partitions int
		memTable   int64
		total      int64
	}{
		{100 * mib, 4, 5 * mib, 100 * mib},
		{100 * mib, 0, 20 * mib, 100 * mib},
		{1 << 40, 1, 64 * mib, 1 << 40},
		{1, 16, 64 << 10, 5 * mib}, // the least that works
	} {
		require.Equal(t, test.memTable, memTableSize(max(test.bytes, MinMemory(test.partitions)), test.partitions))
		if test.bytes < 1<<30 {
			m := newMemory(t, test.bytes, test.partitions)
			require.Equal(t, test.memTable, m.memTable)
			require.Equal(t, test.total, m.blocks.MaxSize())
		}
	}
}

// TestMemory_holdsBlocksAndMemtables checks that blocks and memtables together take no more than the memory has,
// however much is read and written.
func TestMemory_holdsBlocksAndMemtables(t *testing.T) {
	const bytes, partitions = 8 << 20, 4
	memory := newMemory(t, bytes, partitions)
	e := openMem(t, vfs.NewMem(), Options{Memory: memory})
	for offset := range int64(300) {
		for p := range int32(partitions) {
			part, err := e.Open(p)
			require.NoError(t, err)
			require.NoError(t, part.Apply(crashBatch(p, offset)))
			_, _, err = part.Get(nil, []byte("store\x0017"))
			require.NoError(t, err)
		}
		var memTables int64
		for p := range int32(partitions) {
			memTables += int64(e.database(t, p).pebble.Metrics().MemTable.Size)
		}
		require.LessOrEqual(t, memTables+memory.BlockBytes(), int64(bytes))
	}
	require.NotZero(t, memory.BlockBytes(), "nothing was ever read from disk: the test shows nothing")
	require.NoError(t, e.Close())
}

func TestOpen_otherDatabase(t *testing.T) {
	dir := t.TempDir()
	foreign := func(dir string) {
		db, err := pebble.Open(dir, &pebble.Options{Logger: logger{slog.New(slog.DiscardHandler)}})
		require.NoError(t, err)
		require.NoError(t, db.Set([]byte("theirs"), nil, pebble.Sync))
		require.NoError(t, db.Close())
	}
	foreign(dir)
	_, err := Open(dir, Options{})
	require.ErrorIs(t, err, ErrForeign)
	require.ErrorContains(t, err, "another program")

	dir = t.TempDir()
	foreign(filepath.Join(dir, "0.0"))
	e, err := Open(dir, Options{})
	require.NoError(t, err)
	_, err = e.Open(0)
	require.ErrorIs(t, err, ErrForeign)
	require.ErrorContains(t, err, "another program")
	require.NoError(t, e.Close())
}

func TestOpen_otherFormat(t *testing.T) {
	files := vfs.NewMem()
	e := openMem(t, files, Options{})
	_, err := e.Open(0)
	require.NoError(t, err)
	require.NoError(t, e.database(t, 0).pebble.Set([]byte(formatKey), []byte{formatVersion + 1}, pebble.NoSync))
	require.NoError(t, e.Close())
	e = openMem(t, files, Options{})
	_, err = e.Open(0)
	require.ErrorIs(t, err, ErrForeign)
	require.ErrorContains(t, err, "version")
	require.NotErrorIs(t, err, ErrCorrupt)
	require.NoError(t, e.Close())
}

// TestEngine_diskFull checks that writes fail with a clear error while tables cannot be written, that the log is not
// flooded, and that everything is there once they can.
func TestEngine_diskFull(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("/db", 0o755))
	files := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			return &fs.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	}))
	var log bytes.Buffer
	e, err := open(files, "/db", Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	part, err := e.Open(0)
	require.NoError(t, err)
	health := e.database(t, 0).health
	require.NoError(t, part.Apply(crashBatch(0, 0)))
	full.Store(true)
	err = e.Flush()
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "make room or repair the disk")
	require.ErrorIs(t, part.Apply(crashBatch(0, 1)), syscall.ENOSPC)
	full.Store(false)
	require.Eventually(t, func() bool { return health.check() == nil }, patience, tick)
	require.NoError(t, part.Apply(crashBatch(0, 1)))
	require.NoError(t, e.Flush())
	require.NoError(t, e.Close())
	require.Less(t, strings.Count(log.String(), "level=ERROR"), 5, "errors in the log")
	require.Contains(t, log.String(), "can be written again")

	again, err := open(mem, "/db", Options{})
	require.NoError(t, err)
	requireState(t, again, map[int32]int64{0: 1})
	require.NoError(t, again.Close())
}

// TestEngine_closeOnFullDisk checks that Close returns and says what was lost.
func TestEngine_closeOnFullDisk(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	require.NoError(t, mem.MkdirAll("/db", 0o755))
	e, err := open(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			return &fs.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	})), "/db", Options{})
	require.NoError(t, err)
	part, err := e.Open(0)
	require.NoError(t, err)
	require.NoError(t, part.Apply(crashBatch(0, 0)))
	full.Store(true)
	require.ErrorIs(t, e.Close(), syscall.ENOSPC)
	require.NoError(t, e.Close())
}

// TestEngine_closeWaitsForReaders checks that a scan goes on while Close waits, and that a reader within the scan is
// turned away rather than made to wait for ever.
func TestEngine_closeWaitsForReaders(t *testing.T) {
	e := openMem(t, vfs.NewMem(), Options{})
	part, err := e.Open(0)
	require.NoError(t, err)
	for offset := int64(1); offset < 4; offset++ {
		require.NoError(t, part.Apply(crashBatch(0, offset)))
	}
	closed := make(chan error)
	n := 0
	for _, err := range part.Scan(nil, nil) {
		require.NoError(t, err)
		if n++; n == 1 {
			go func() { closed <- e.Close() }()
			require.Eventually(t, func() bool {
				_, _, err := part.Get(nil, []byte("x"))
				return errors.Is(err, state.ErrClosed)
			}, patience, tick)
			select {
			case err := <-closed:
				t.Fatal("Close did not wait for the scan", err)
			default:
			}
		}
	}
	require.Len(t, crashState(0, 3), n)
	require.NoError(t, <-closed)
}
