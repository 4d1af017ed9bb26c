package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

// database is the pebble database of one generation of a partition.
type database struct {
	dir    string
	pebble *pebble.DB
	health *health
	users  users
	signed atomic.Bool // the version is written

	bulkBytes int // a batch that needs more of a memtable is written to disk at once
}

// Keys of a database:
//
//	00 "format"   the version of this layout
//	00 "offset"   the changelog offset
//	01 ‖ key      a row
const (
	rowPrefix     = 0x01
	rowEnd        = 0x02
	formatVersion = 2

	formatKey = "\x00format"
	offsetKey = "\x00offset"
)

func openDatabase(e *engine, dir string) (_ *database, err error) {
	db := &database{dir: dir, health: newHealth(dir, e.opts.Logger), users: newUsers(), bulkBytes: int(e.memory.memTable / 2)}
	db.pebble, err = pebble.Open(dir, db.options(e))
	if err != nil {
		return nil, openError(dir, err)
	}
	if err := db.checkFormat(); err != nil {
		return nil, errors.Join(err, db.pebble.Close())
	}
	return db, nil
}

func (db *database) options(e *engine) *pebble.Options {
	o := &pebble.Options{
		FS:                          e.files,
		Logger:                      logger{e.opts.Logger},
		EventListener:               db.health.listener(),
		FormatMajorVersion:          pebble.FormatNewest,
		DisableWAL:                  true,
		Cache:                       e.memory.blocks,
		FileCache:                   e.memory.tables,
		MemTableSize:                uint64(e.memory.memTable),
		MemTableStopWritesThreshold: memTables,
		// A commit must not wait for compactions until there is much to compact.
		L0CompactionThreshold: 8,
		L0StopWritesThreshold: stopSublevels,
	}
	compression := pebble.DBCompressionNone
	if e.opts.Compress {
		compression = pebble.DBCompressionFastest
	}
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return compression })
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
		o.Levels[i].FilterType = pebble.TableFilter
	}
	// Pebble's Get does not use filters of the last level, which holds nine tenths of the rows.
	o.Levels[len(o.Levels)-1].FilterPolicy = pebble.NoFilterPolicy
	return o
}

// checkFormat checks that the database was written by millrace, in the format of this program. The version is written
// with the first rows: if it is missing, the database must be empty.
func (db *database) checkFormat() error {
	data, closer, err := db.pebble.Get([]byte(formatKey))
	if errors.Is(err, pebble.ErrNotFound) {
		empty, err := db.empty(nil)
		switch {
		case err != nil:
			return openError(db.dir, err)
		case !empty:
			return fmt.Errorf("%w: %s holds a pebble database of another program; choose another directory", ErrForeign, db.dir)
		}
		return nil
	}
	if err != nil {
		return openError(db.dir, err)
	}
	defer closer.Close() // releases memory, cannot fail
	if len(data) != 1 || data[0] != formatVersion {
		return fmt.Errorf("%w: the format of %s is version %d, this program knows version %d; "+
			"use the program that wrote it, or remove the directory: the state is restored from its changelog",
			ErrForeign, db.dir, data, formatVersion)
	}
	db.signed.Store(true)
	return nil
}

// sign adds the version to the first batch of a database.
func (db *database) sign(batch *pebble.Batch) error {
	if db.signed.Load() {
		return nil
	}
	return batch.Set([]byte(formatKey), []byte{formatVersion}, nil)
}

// empty reports whether there is no key from lower on.
func (db *database) empty(lower []byte) (bool, error) {
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: lower})
	if err != nil {
		return false, err
	}
	empty := !it.First()
	return empty, it.Close()
}

// offset returns the changelog offset, or nil if there is none.
func (db *database) offset() (*int64, error) {
	data, closer, err := db.pebble.Get([]byte(offsetKey))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil //nolint:nilnil // a missing offset is no error
	}
	if err != nil {
		return nil, db.health.readError(err)
	}
	defer closer.Close() // releases memory, cannot fail
	if len(data) != 8 {
		return nil, corrupt(db.dir, fmt.Errorf("the offset has %d bytes, want 8", len(data)))
	}
	offset := int64(binary.BigEndian.Uint64(data))
	return &offset, nil
}

// flush waits until all memtables are written or writing has failed. Pebble itself would retry forever.
func (db *database) flush() error {
	flushed, err := db.pebble.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush state directory %s: %w", db.dir, err)
	}
	select {
	case <-flushed:
		return nil
	case <-db.health.failed():
		return db.health.check()
	}
}

// close waits for the users of the database and closes it. Rows that were not flushed are lost.
func (db *database) close() error {
	if !db.users.close() {
		return nil
	}
	if err := db.pebble.Close(); err != nil {
		return fmt.Errorf("close state directory %s: %w", db.dir, err)
	}
	return nil
}
