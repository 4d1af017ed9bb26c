package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed84377926/millrace/state"
)

// engine is one pebble database. Pebble panics when a closed database is used, so every use goes through users.
type engine struct {
	dir    string
	db     *pebble.DB
	health *health
	users  users
	bulk   bulk

	mu struct {
		sync.Mutex
		parts map[int32]*partition
	}
}

// Open opens the database in dir and creates both if they are missing. Only one engine at a time can have a directory
// open: others get [ErrLocked]. Damaged files are [ErrCorrupt], as far as they are found now; the rest is reported by
// the reads that meet it.
func Open(dir string, opts Options) (state.Engine, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create state directory %s: %w; choose a directory that this user can write", dir, err)
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

// Remove deletes the database in dir, so that its state is restored from the changelog. It fails with [ErrLocked] if
// an engine has it open. A directory that does not exist is no error.
func Remove(dir string) error {
	dir, err := resolve(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove state directory %s: %w", dir, err)
	}
	lock, err := lockDir(vfs.Default, dir)
	if err != nil {
		return err
	}
	// The lock file goes with the rest: who opens the directory next makes a new one.
	return errors.Join(os.RemoveAll(dir), lock.Close())
}

// resolve returns the one true name of dir: two engines of one process are told apart by it, since the operating
// system lets a process lock a file twice.
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

// open opens the database in a directory that exists.
func open(files vfs.FS, dir string, opts Options) (*engine, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	lock, err := lockDir(files, dir)
	if err != nil {
		return nil, err
	}
	e := &engine{dir: dir, health: newHealth(dir, opts.Logger)}
	e.bulk.bytes = int(opts.MemTableBytes / 2)
	e.users.idle = make(chan struct{})
	e.mu.parts = map[int32]*partition{}
	e.db, err = pebble.Open(dir, e.options(files, opts, lock))
	if err != nil {
		return nil, errors.Join(openError(dir, err), lock.Close())
	}
	// The database holds the lock from here on, and lets it go when it is closed.
	if err := errors.Join(lock.Close(), e.checkFormat()); err != nil {
		return nil, errors.Join(err, e.db.Close())
	}
	return e, nil
}

// lockDir locks dir. Locking fails in two ways: the file cannot be created, which is an error with a path, or it can
// and somebody else has it.
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

func (e *engine) options(files vfs.FS, opts Options, lock *pebble.Lock) *pebble.Options {
	o := &pebble.Options{
		FS:                          files,
		Lock:                        lock,
		Logger:                      logger{opts.Logger},
		EventListener:               e.health.listener(),
		FormatMajorVersion:          pebble.FormatNewest,
		DisableWAL:                  true,
		CacheSize:                   opts.CacheBytes,
		MemTableSize:                uint64(opts.MemTableBytes),
		MemTableStopWritesThreshold: memTables,
		MaxOpenFiles:                opts.MaxOpenFiles,
		// A commit must not wait for compactions before there is a lot to compact.
		L0CompactionThreshold: 2,
		L0StopWritesThreshold: stopSublevels,
	}
	if opts.Cache != nil {
		o.Cache = opts.Cache.blocks
	}
	compression := pebble.DBCompressionNone
	if opts.Compress {
		compression = pebble.DBCompressionFastest
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return compression })
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
		o.Levels[i].FilterType = pebble.TableFilter
	}
	// Pebble's Get looks at no filter of the last level, which holds nine tenths of the rows.
	o.Levels[len(o.Levels)-1].FilterPolicy = pebble.NoFilterPolicy
	return o
}

// Keys of the database: the partition in two bytes and the row key. The highest partition number is the engine's own:
//
//	ff ff "format"           the version of this layout
//	ff ff "offset" ‖ p (2)   the changelog offset of partition p
const (
	partitionSize = 2
	formatVersion = 1

	ownPrefix    = "\xff\xff" // partition state.MaxPartition + 1
	formatKey    = ownPrefix + "format"
	offsetPrefix = ownPrefix + "offset"
	offsetEnd    = ownPrefix + "offseu"
)

func appendPartition(dst []byte, p int32) []byte {
	return binary.BigEndian.AppendUint16(dst, uint16(p))
}

func offsetKey(p int32) []byte { return appendPartition([]byte(offsetPrefix), p) }

// bounds returns the keys between which the rows of p lie. There is always an upper one: the engine's own partition
// is above.
func bounds(p int32) (lo, hi []byte) { return appendPartition(nil, p), appendPartition(nil, p+1) }

// checkFormat makes sure that the database is ours and in the format that this program knows. The version is the
// first write of a database: if it is missing, nothing was written.
func (e *engine) checkFormat() error {
	data, closer, err := e.db.Get([]byte(formatKey))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return e.create()
	case err != nil:
		return openError(e.dir, err)
	}
	defer closer.Close() // releases memory, cannot fail
	if len(data) != 1 || data[0] != formatVersion {
		return fmt.Errorf("open state directory %s: its format is version %d, this program knows version %d; "+
			"use the program that wrote it, or remove the directory: the state is restored from its changelog",
			e.dir, data, formatVersion)
	}
	return nil
}

func (e *engine) create() error {
	it, err := e.db.NewIter(nil)
	if err != nil {
		return openError(e.dir, err)
	}
	foreign := it.First()
	if err := it.Close(); err != nil {
		return openError(e.dir, err)
	}
	if foreign {
		return fmt.Errorf("open state directory %s: it holds a pebble database of another program; choose another directory", e.dir)
	}
	if err := e.db.Set([]byte(formatKey), []byte{formatVersion}, pebble.NoSync); err != nil {
		return openError(e.dir, err)
	}
	return nil
}

// Open implements state.Engine.
func (e *engine) Open(p int32) (state.Partition, error) {
	if err := checkPartition(p); err != nil {
		return nil, err
	}
	if err := e.users.enter(); err != nil {
		return nil, err
	}
	defer e.users.leave()
	e.mu.Lock()
	defer e.mu.Unlock()
	if part, ok := e.mu.parts[p]; ok {
		return part, nil
	}
	part := &partition{engine: e, id: p}
	data, closer, err := e.db.Get(offsetKey(p))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
	case err != nil:
		return nil, fmt.Errorf("open partition %d: %w", p, e.health.readError(err))
	default:
		if len(data) != 8 {
			err = corrupt(e.dir, fmt.Errorf("the offset of partition %d has %d bytes, want 8", p, len(data)))
		} else {
			offset := int64(binary.BigEndian.Uint64(data))
			part.offset.Store(&offset)
		}
		if err := errors.Join(err, closer.Close()); err != nil {
			return nil, err
		}
	}
	e.mu.parts[p] = part
	return part, nil
}

// Partitions implements state.Engine.
func (e *engine) Partitions() ([]int32, error) {
	if err := e.users.enter(); err != nil {
		return nil, err
	}
	defer e.users.leave()
	has := map[int32]bool{}
	rows, err := e.db.NewIter(&pebble.IterOptions{UpperBound: []byte(ownPrefix)})
	if err != nil {
		return nil, e.health.readError(err)
	}
	for ok := rows.First(); ok; {
		p := int32(binary.BigEndian.Uint16(rows.Key()))
		has[p] = true
		_, next := bounds(p)
		ok = rows.SeekGE(next)
	}
	if err := rows.Close(); err != nil {
		return nil, e.health.readError(err)
	}
	offsets, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte(offsetPrefix), UpperBound: []byte(offsetEnd)})
	if err != nil {
		return nil, e.health.readError(err)
	}
	for ok := offsets.First(); ok; ok = offsets.Next() {
		if key := offsets.Key(); len(key) == len(offsetPrefix)+partitionSize {
			has[int32(binary.BigEndian.Uint16(key[len(offsetPrefix):]))] = true
		}
	}
	if err := offsets.Close(); err != nil {
		return nil, e.health.readError(err)
	}
	return sortedKeys(has), nil
}

// Drop implements state.Engine.
func (e *engine) Drop(p int32) error {
	if err := checkPartition(p); err != nil {
		return err
	}
	if err := e.users.enter(); err != nil {
		return err
	}
	defer e.users.leave()
	b := e.db.NewBatch()
	lo, hi := bounds(p)
	err := errors.Join(
		b.DeleteRange(lo, hi, nil),
		b.Delete(offsetKey(p), nil),
	)
	if err == nil {
		err = b.Commit(pebble.NoSync)
	}
	if err := errors.Join(err, b.Close()); err != nil {
		return fmt.Errorf("drop partition %d: %w", p, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if part := e.mu.parts[p]; part != nil {
		part.offset.Store(nil)
	}
	return nil
}

// Flush implements state.Engine.
func (e *engine) Flush() error {
	if err := e.users.enter(); err != nil {
		return err
	}
	defer e.users.leave()
	return e.flush()
}

// flush waits until all memtables are written, or until writing fails: pebble would try for ever.
func (e *engine) flush() error {
	flushed, err := e.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush state directory %s: %w", e.dir, err)
	}
	select {
	case <-flushed:
		return nil
	case <-e.health.failed():
		return e.health.check()
	}
}

// Close implements state.Engine.
func (e *engine) Close() error {
	if !e.users.close() {
		return nil
	}
	err := e.flush()
	if closeErr := e.db.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close state directory %s: %w", e.dir, closeErr))
	}
	return err
}

func checkPartition(p int32) error {
	if p < 0 || p > state.MaxPartition {
		return fmt.Errorf("partition %d: want 0 to %d", p, state.MaxPartition)
	}
	return nil
}

// users counts who is using the database, so that Close can wait for them and turn newcomers away. A reader may
// enter again from within its loop: it is turned away as well rather than made to wait for a Close that waits for it.
type users struct {
	count atomic.Int64 // plus closing, once
	once  sync.Once
	idle  chan struct{} // closed when closing and nobody is left
}

const closing = math.MinInt64 / 2

func (u *users) enter() error {
	if u.count.Add(1) < 0 {
		u.leave()
		return state.ErrClosed
	}
	return nil
}

func (u *users) leave() {
	if u.count.Add(-1) == closing {
		u.once.Do(func() { close(u.idle) })
	}
}

// close turns newcomers away and waits for the others. It reports false if it was called before.
func (u *users) close() bool {
	for {
		n := u.count.Load()
		if n < 0 {
			return false
		}
		if u.count.CompareAndSwap(n, n+closing) {
			if n > 0 {
				<-u.idle
			}
			return true
		}
	}
}
