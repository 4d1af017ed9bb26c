package pebblestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
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
	require.ErrorIs(t, Remove(dir), ErrLocked)

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

func TestOpen_options(t *testing.T) {
	for _, opts := range []Options{{CacheBytes: -1}, {MemTableBytes: 1}, {MemTableBytes: 2 << 30}, {MaxOpenFiles: 1}} {
		_, err := Open(t.TempDir(), opts)
		require.ErrorContains(t, err, "want 0 for the default")
	}
	require.Equal(t, Options{CacheBytes: 64 << 20, MemTableBytes: 16 << 20, MaxOpenFiles: 500},
		func() Options { o := Options{}.withDefaults(); o.Logger = nil; return o }())
}

func TestOpen_sharedCache(t *testing.T) {
	cache := NewCache(1 << 20)
	a, err := Open(t.TempDir(), Options{Cache: cache})
	require.NoError(t, err)
	b, err := Open(t.TempDir(), Options{Cache: cache})
	require.NoError(t, err)
	cache.Close()
	for _, e := range []state.Engine{a, b} {
		part, err := e.Open(0)
		require.NoError(t, err)
		require.NoError(t, part.Apply(crashBatch(0, 0)))
		require.NoError(t, e.Close())
	}
}

func TestOpen_otherDatabase(t *testing.T) {
	dir := t.TempDir()
	db, err := pebble.Open(dir, &pebble.Options{Logger: logger{slog.New(slog.DiscardHandler)}})
	require.NoError(t, err)
	require.NoError(t, db.Set([]byte("theirs"), nil, pebble.Sync))
	require.NoError(t, db.Close())
	_, err = Open(dir, Options{})
	require.ErrorContains(t, err, "another program")
}

func TestOpen_otherFormat(t *testing.T) {
	files := vfs.NewMem()
	e := openMem(t, files, Options{})
	require.NoError(t, e.db.Set([]byte(formatKey), []byte{formatVersion + 1}, pebble.NoSync))
	require.NoError(t, e.Close())
	_, err := open(files, "/db", Options{})
	require.ErrorContains(t, err, "version")
	require.NotErrorIs(t, err, ErrCorrupt)
}

func TestRemove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	require.NoError(t, Remove(dir))
	e, err := Open(dir, Options{})
	require.NoError(t, err)
	part, err := e.Open(0)
	require.NoError(t, err)
	require.NoError(t, part.Apply(crashBatch(0, 1)))
	require.NoError(t, e.Close())
	require.NoError(t, Remove(dir))
	require.NoDirExists(t, dir)
	e, err = Open(dir, Options{})
	require.NoError(t, err)
	ps, err := e.Partitions()
	require.NoError(t, err)
	require.Empty(t, ps)
	require.NoError(t, e.Close())
}

// TestOpen_damage damages every file of a database in every way. Each time the rows are those of the offset, which may
// be an older one or none, so that the rest is restored; or the error says that they are not.
func TestOpen_damage(t *testing.T) {
	original := t.TempDir()
	e, err := Open(original, Options{})
	require.NoError(t, err)
	part, err := e.Open(0)
	require.NoError(t, err)
	for offset := range int64(30) {
		require.NoError(t, part.Apply(crashBatch(0, offset)))
		if offset == 15 {
			require.NoError(t, e.Flush())
		}
	}
	require.NoError(t, e.Close())

	entries, err := os.ReadDir(original)
	require.NoError(t, err)
	found := map[string]int{}
	for _, entry := range entries {
		for name, damage := range map[string]func(path string) error{
			"removed":   os.Remove,
			"emptied":   func(path string) error { return os.Truncate(path, 0) },
			"cut short": cutShort,
			"changed":   change,
		} {
			t.Run(entry.Name()+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				require.NoError(t, os.CopyFS(dir, os.DirFS(original)))
				require.NoError(t, damage(filepath.Join(dir, entry.Name())))
				rows, offset, err := readAll(t, dir)
				if err != nil {
					require.ErrorIs(t, err, ErrCorrupt)
					require.ErrorContains(t, err, "restored from its changelog")
					found["corrupt"]++
				} else {
					require.Equal(t, crashState(0, offset), rows, "rows at offset %d", offset)
					found[fmt.Sprint("offset ", offset)]++
				}
				require.NoError(t, Remove(dir))
			})
		}
	}
	t.Log(found)
	require.NotZero(t, found["corrupt"])
}

// readAll opens the database and reads partition 0: the offset, -1 if there is none, and the offset that wrote each row.
func readAll(t *testing.T, dir string) (rows map[string]int64, offset int64, err error) {
	t.Helper()
	e, err := Open(dir, Options{})
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	part, err := e.Open(0)
	if err != nil {
		return nil, 0, err
	}
	offset, ok := part.Offset()
	if !ok {
		offset = -1
	}
	rows = map[string]int64{}
	for row, err := range part.Scan(nil, nil) {
		if err != nil {
			return nil, 0, err
		}
		rows[string(row.Key)] = int64(binary.BigEndian.Uint64(row.Value))
	}
	for key := range rows {
		if _, _, err := part.Get(nil, []byte(key)); err != nil {
			return nil, 0, err
		}
	}
	return rows, offset, nil
}

func cutShort(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

func change(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for i := len(data) / 4; i < len(data)*3/4; i++ {
		data[i] ^= 0x55
	}
	return os.WriteFile(path, data, 0o600)
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
	require.NoError(t, part.Apply(crashBatch(0, 0)))
	full.Store(true)
	err = e.Flush()
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, "make room or repair the disk")
	require.ErrorIs(t, part.Apply(crashBatch(0, 1)), syscall.ENOSPC)
	full.Store(false)
	require.Eventually(t, func() bool { return e.health.check() == nil }, patience, tick)
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
