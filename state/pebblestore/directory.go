package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A state directory holds a directory for each partition and generation:
//
//	LOCK
//	0.0/    partition 0
//	3.0/    partition 3, dropped: being removed
//	3.1/    partition 3, the current generation
//
// The highest generation of a partition is the current one. Creating it drops the previous one. If a crash comes after
// the creation, the previous one is removed when the directory is opened next. If it comes before, nothing was dropped.

// dirName is the name of a generation of partition p.
func dirName(p int32, generation int) string { return fmt.Sprintf("%d.%d", p, generation) }

// parseDirName is the inverse of dirName. It returns false for other names.
func parseDirName(name string) (p int32, generation int, ok bool) {
	left, right, ok := strings.Cut(name, ".")
	if !ok {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(left, 10, 16)
	if err != nil {
		return 0, 0, false
	}
	generation, err = strconv.Atoi(right)
	if err != nil || name != dirName(int32(n), generation) {
		return 0, 0, false
	}
	return int32(n), generation, true
}

// checkDir refuses the directory of another program and removes the generations that were dropped.
func (e *engine) checkDir() error {
	names, err := e.files.List(e.dir)
	if err != nil {
		return fmt.Errorf("open state directory %s: %w", e.dir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST") || strings.HasSuffix(name, ".sst") {
			return fmt.Errorf("%w: %s holds the database of another program, or of an older version of this one; "+
				"choose another directory, or remove it if it is an old state directory: the state is restored from its changelog",
				ErrForeign, e.dir)
		}
	}
	last, err := e.generations()
	if err != nil {
		return err
	}
	for _, name := range names {
		if p, generation, ok := parseDirName(name); ok && generation < last[p] {
			if err := e.files.RemoveAll(e.files.PathJoin(e.dir, name)); err != nil {
				return fmt.Errorf("remove dropped state %s in %s: %w", name, e.dir, err)
			}
		}
	}
	return nil
}

// generations returns the current generation of each partition that has one.
func (e *engine) generations() (map[int32]int, error) {
	names, err := e.files.List(e.dir)
	if err != nil {
		return nil, fmt.Errorf("list state directory %s: %w", e.dir, err)
	}
	last := make(map[int32]int)
	for _, name := range names {
		if p, generation, ok := parseDirName(name); ok {
			last[p] = max(last[p], generation)
		}
	}
	return last, nil
}

// withoutTables reports whether a database that is not open was never written to: closing it would have left a table.
func (e *engine) withoutTables(name string) (bool, error) {
	names, err := e.files.List(e.files.PathJoin(e.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("list state directory %s: %w", e.dir, err)
	}
	return !slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, ".sst") }), nil
}

// makeDir creates the directory of a generation, if it is missing.
func (e *engine) makeDir(p int32, generation int) (dir string, err error) {
	dir = e.files.PathJoin(e.dir, dirName(p, generation))
	return dir, makeDirs(e.files, dir)
}

// makeDirs creates dir and its missing parents, so that they survive a crash.
func makeDirs(files vfs.FS, dir string) error {
	if _, err := files.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return createError(dir, err)
	}
	above := files.PathDir(dir)
	if above != dir {
		if err := makeDirs(files, above); err != nil {
			return err
		}
	}
	if err := files.MkdirAll(dir, 0o755); err != nil {
		return createError(dir, err)
	}
	parent, err := files.OpenDir(above)
	if err != nil {
		return createError(dir, err)
	}
	return createError(dir, errors.Join(parent.Sync(), parent.Close()))
}

func createError(dir string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("create state directory %s: %w; choose a directory that this user can write", dir, err)
}
