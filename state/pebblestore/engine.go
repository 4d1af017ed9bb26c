package pebblestore

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"

	"github.com/seed84377926/millrace/state"
)

// engine is a directory with a database for each partition.
type engine struct {
	dir     string
	files   vfs.FS
	opts    Options
	memory  *Memory // held until Close
	lock    *pebble.Lock
	users   users          // of the engine itself; readers and writers are users of their database
	dropped sync.WaitGroup // removal of databases that were dropped

	mu struct {
		sync.Mutex
		parts map[int32]*partition
	}
}

// Open opens the state directory dir and creates it if it is missing. Only one engine at a time can have a directory
// open: others get [ErrLocked]. The engine's Open opens the databases in it one by one, and reports damage to them.
func Open(dir string, opts Options) (state.Engine, error) {
	if err := makeDirs(vfs.Default, dir); err != nil {
		return nil, err
	}
	dir, err := resolve(dir)
	if err != nil {
		return nil, fmt.Errorf("open state directory %s: %w", dir, err)
	}
	e, err := open(vfs.Default, dir, opts)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// resolve returns the canonical name of dir. It is needed to detect that two engines of one process use the same
// directory. A lock does not detect this, because the operating system lets a process lock a file twice.
func resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return dir, err
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return dir, err
	}
	return resolved, nil
}

// open opens a directory that exists.
func open(files vfs.FS, dir string, opts Options) (*engine, error) {
	opts = opts.withDefaults()
	lock, err := lockDir(files, dir)
	if err != nil {
		return nil, err
	}
	e := &engine{dir: dir, files: files, opts: opts, lock: lock, users: newUsers()}
	e.mu.parts = make(map[int32]*partition)
	if err := e.checkDir(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	if opts.Memory == nil {
		e.memory = NewMemory(DefaultMemoryBytes, defaultPartitions)
	} else {
		e.memory = opts.Memory.hold()
	}
	return e, nil
}

// lockDir locks dir. Locking fails in two ways: the file cannot be created, which is an error with a path, or another
// process has locked it.
func lockDir(files vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, files)
	if err == nil {
		return lock, nil
	}
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return nil, fmt.Errorf("lock state directory %s: %w; choose a directory that this user can write", dir, err)
	}
	return nil, fmt.Errorf("%w: %s: %w; stop the other process or give each its own directory", ErrLocked, dir, err)
}

// Open implements state.Engine.
func (e *engine) Open(p int32) (state.Partition, error) {
	if err := e.enter(p); err != nil {
		return nil, err
	}
	defer e.users.leave()
	part := e.part(p)
	if err := part.open(); err != nil {
		return nil, fmt.Errorf("open partition %d: %w", p, err)
	}
	return part, nil
}

// Release implements state.Engine.
func (e *engine) Release(p int32) error {
	if err := e.enter(p); err != nil {
		return err
	}
	defer e.users.leave()
	return e.part(p).close()
}

// Partitions implements state.Engine. If the database of a partition is not open or cannot be read, the partition
// counts if it has tables.
func (e *engine) Partitions() ([]int32, error) {
	if err := e.users.enter(); err != nil {
		return nil, err
	}
	defer e.users.leave()
	found, err := e.generations()
	if err != nil {
		return nil, err
	}
	var ps []int32
	for _, p := range slices.Sorted(maps.Keys(found)) {
		empty, open := e.part(p).empty()
		if !open {
			if empty, err = e.withoutTables(dirName(p, found[p])); err != nil {
				return nil, err
			}
		}
		if !empty {
			ps = append(ps, p)
		}
	}
	return ps, nil
}

// Drop implements state.Engine. The partition may be damaged in any way.
func (e *engine) Drop(p int32) error {
	if err := e.enter(p); err != nil {
		return err
	}
	defer e.users.leave()
	if err := e.part(p).drop(); err != nil {
		return fmt.Errorf("drop partition %d: %w", p, err)
	}
	return nil
}

// Flush implements state.Engine.
func (e *engine) Flush() error {
	if err := e.users.enter(); err != nil {
		return err
	}
	defer e.users.leave()
	return e.each((*partition).flush)
}

// Close implements state.Engine.
func (e *engine) Close() error {
	if !e.users.close() {
		return nil
	}
	err := e.each((*partition).close)
	e.dropped.Wait()
	e.memory.Close()
	if lockErr := e.lock.Close(); lockErr != nil {
		err = errors.Join(err, fmt.Errorf("unlock state directory %s: %w", e.dir, lockErr))
	}
	return err
}

// each calls f for all partitions, side by side, and joins their errors.
func (e *engine) each(f func(*partition) error) error {
	e.mu.Lock()
	parts := slices.Collect(maps.Values(e.mu.parts))
	e.mu.Unlock()
	errs := make([]error, len(parts))
	var all errgroup.Group
	all.SetLimit(maxParallel)
	for i, part := range parts {
		all.Go(func() error {
			errs[i] = f(part)
			return nil
		})
	}
	return errors.Join(all.Wait(), errors.Join(errs...))
}

// visit calls f for all partitions, one after the other, until it fails.
func (e *engine) visit(f func(*partition) error) error {
	e.mu.Lock()
	parts := slices.Collect(maps.Values(e.mu.parts))
	e.mu.Unlock()
	for _, part := range parts {
		if err := f(part); err != nil {
			return err
		}
	}
	return nil
}

// maxParallel bounds the flushes that run side by side.
const maxParallel = 8

func (e *engine) part(p int32) *partition {
	e.mu.Lock()
	defer e.mu.Unlock()
	part := e.mu.parts[p]
	if part == nil {
		part = &partition{engine: e, id: p}
		e.mu.parts[p] = part
	}
	return part
}

func (e *engine) enter(p int32) error {
	if p < 0 || p > state.MaxPartition {
		return fmt.Errorf("partition %d: want 0 to %d", p, state.MaxPartition)
	}
	return e.users.enter()
}
