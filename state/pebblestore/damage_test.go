package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"

	"github.com/seed84377926/millrace/state"
)

// damages are the ways in which a file may be damaged.
func damages() map[string]func(path string) error {
	return map[string]func(path string) error{
		"removed":   os.Remove,
		"emptied":   func(path string) error { return os.Truncate(path, 0) },
		"cut short": cutShort,
		"changed":   change,
	}
}

// TestOpen_damage damages every file of a partition in every way. Each time the rows are those of the offset, which may
// be an older one or none, so that the rest is restored; or the error says that they are not, and then the partition
// can be dropped and begun anew. The other partition is never touched.
func TestOpen_damage(t *testing.T) {
	original := t.TempDir()
	e, err := Open(original, Options{})
	require.NoError(t, err)
	for p := range int32(2) {
		part, err := e.Open(p)
		require.NoError(t, err)
		for offset := range int64(30) {
			require.NoError(t, part.Apply(crashBatch(p, offset)))
			if offset == 15 {
				require.NoError(t, e.Flush())
			}
		}
	}
	require.NoError(t, e.Close())

	entries, err := os.ReadDir(filepath.Join(original, "0.0"))
	require.NoError(t, err)
	found := map[string]int{}
	for _, entry := range entries {
		for name, damage := range damages() {
			t.Run(entry.Name()+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				require.NoError(t, os.CopyFS(dir, os.DirFS(original)))
				require.NoError(t, damage(filepath.Join(dir, "0.0", entry.Name())))
				e, err := Open(dir, Options{})
				require.NoError(t, err)
				rows, offset, err := readAll(e, 0)
				if err != nil {
					require.ErrorIs(t, err, ErrCorrupt)
					require.ErrorContains(t, err, "restored from its changelog")
					require.NoError(t, e.Drop(0))
					part, err := e.Open(0)
					require.NoError(t, err)
					_, ok := part.Offset()
					require.False(t, ok)
					require.NoError(t, part.Apply(crashBatch(0, 0)))
					rows, offset, err = readAll(e, 0)
					require.NoError(t, err)
					found["corrupt"]++
				} else {
					found[fmt.Sprint("offset ", offset)]++
				}
				require.Equal(t, crashState(0, offset), rows, "rows at offset %d", offset)
				rows, offset, err = readAll(e, 1)
				require.NoError(t, err)
				require.EqualValues(t, 29, offset)
				require.Equal(t, crashState(1, 29), rows, "the other partition")
				require.NoError(t, e.Close())
			})
		}
	}
	t.Log(found)
	require.NotZero(t, found["corrupt"])
}

// TestEngine_damageWhileOpen damages the tables of an open partition, one way at a time, and goes on reading and
// writing. Whatever is read is right until the damage is met; then it is ErrCorrupt, for reads as for writes.
func TestEngine_damageWhileOpen(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			// A memory so small that nothing of a table stays in it.
			e, err := Open(dir, Options{Memory: newMemory(t, 1, 2)})
			require.NoError(t, err)
			for p := range int32(2) {
				part, err := e.Open(p)
				require.NoError(t, err)
				for offset := range int64(60) {
					require.NoError(t, part.Apply(crashBatch(p, offset)))
				}
			}
			require.NoError(t, e.Flush())
			tables, err := filepath.Glob(filepath.Join(dir, "0.0", "*.sst"))
			require.NoError(t, err)
			require.NotEmpty(t, tables)
			for _, table := range tables {
				require.NoError(t, damage(table))
			}
			part, err := e.Open(0)
			require.NoError(t, err)
			var corrupt error
			for offset := int64(60); corrupt == nil && offset < 600; offset++ {
				// A table that was removed is there as long as it is open: reading alone may go on for ever.
				corrupt = part.Apply(crashBatch(0, offset))
				if corrupt != nil {
					break
				}
				var rows map[string]int64
				if rows, _, corrupt = readAll(e, 0); corrupt == nil {
					require.Equal(t, crashState(0, offset), rows)
				}
			}
			if name == "removed" && corrupt == nil {
				return // compactions wrote all of it anew from files that were open: nothing is lost
			}
			require.ErrorIs(t, corrupt, ErrCorrupt)
			require.NoError(t, e.Drop(0))
			require.NoError(t, part.Apply(crashBatch(0, 0)))
			rows, _, err := readAll(e, 0)
			require.NoError(t, err)
			require.Equal(t, crashState(0, 0), rows)
			rows, _, err = readAll(e, 1)
			require.NoError(t, err)
			require.Equal(t, crashState(1, 59), rows, "the other partition")
			require.NoError(t, e.Close())
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			var names []string
			for _, entry := range left {
				names = append(names, entry.Name())
			}
			require.Equal(t, "0.1 1.0 LOCK", strings.Join(names, " "))
		})
	}
}

// TestEngine_unreadableSector checks that a disk that cannot read a table back is damage as well.
func TestEngine_unreadableSector(t *testing.T) {
	var broken atomic.Bool
	mem := vfs.NewMem()
	require.NoError(t, makeDirs(mem, "/db"))
	e, err := open(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpFileReadAt && strings.HasPrefix(op.Path, "/db/0.0/") {
			return &fs.PathError{Op: "read", Path: op.Path, Err: syscall.EIO}
		}
		return nil
	})), "/db", Options{Memory: newMemory(t, 1, 1)})
	require.NoError(t, err)
	part, err := e.Open(0)
	require.NoError(t, err)
	for offset := range int64(20) {
		require.NoError(t, part.Apply(crashBatch(0, offset)))
	}
	require.NoError(t, e.Flush())
	broken.Store(true)
	_, _, err = readAll(e, 0)
	require.ErrorIs(t, err, ErrCorrupt)
	require.NoError(t, e.Drop(0))
	require.NoError(t, part.Apply(crashBatch(0, 0)))
	rows, _, err := readAll(e, 0)
	require.NoError(t, err)
	require.Equal(t, crashState(0, 0), rows)
	require.NoError(t, e.Close())
}

// readAll reads a partition: the offset, -1 if there is none, and the offset that wrote each row.
func readAll(e state.Engine, p int32) (rows map[string]int64, offset int64, err error) {
	part, err := e.Open(p)
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
		if len(row.Value) < 8 {
			return nil, 0, errors.New("a row is too short")
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
