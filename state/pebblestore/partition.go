package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/seed84377926/millrace/internal/invariants"
	"github.com/seed84377926/millrace/state"
)

// partition is one partition with its current database.
type partition struct {
	engine *engine
	id     int32

	apply   invariants.Guard         // of Apply and drop
	change  sync.Mutex               // held while current is replaced or closed
	current atomic.Pointer[database] // nil: never opened
	offset  atomic.Pointer[int64]    // nil: none
	keys    sync.Pool                // *[]byte, scratch of Get
}

// open opens the partition's database unless it is open.
func (p *partition) open() error {
	p.change.Lock()
	defer p.change.Unlock()
	if db := p.current.Load(); db != nil && !db.users.closed() {
		return nil
	}
	generations, err := p.engine.generations()
	if err != nil {
		return err
	}
	return p.openGeneration(generations[p.id])
}

// openGeneration makes a generation the current one. p.change is held.
func (p *partition) openGeneration(generation int) error {
	dir, err := p.engine.makeDir(p.id, generation)
	if err != nil {
		return err
	}
	db, err := openDatabase(p.engine, dir)
	if err != nil {
		return err
	}
	offset, err := db.offset()
	if err != nil {
		return errors.Join(err, db.close())
	}
	p.offset.Store(offset)
	p.current.Store(db)
	return nil
}

// drop begins a new generation. Readers of the old one may finish; it is removed after the last of them.
func (p *partition) drop() error {
	p.apply.Enter("ST7", "Apply or Drop of a partition")
	defer p.apply.Exit()
	p.change.Lock()
	defer p.change.Unlock()
	generations, err := p.engine.generations()
	if err != nil {
		return err
	}
	generation, exists := generations[p.id]
	if !exists {
		return nil
	}
	old := p.current.Load()
	if old == nil || old.users.closed() {
		_, err = p.engine.makeDir(p.id, generation+1)
	} else {
		err = p.openGeneration(generation + 1)
	}
	if err != nil {
		return err
	}
	dir := p.engine.files.PathJoin(p.engine.dir, dirName(p.id, generation))
	p.engine.dropped.Go(func() {
		if old != nil {
			_ = old.close() // it may be damaged, and is removed anyway
		}
		if err := p.engine.files.RemoveAll(dir); err != nil {
			p.engine.opts.Logger.Error("dropped state cannot be removed; it is tried again when the directory is opened",
				slog.String("dir", dir), slog.Any("error", err))
		}
	})
	return nil
}

// flush makes the partition durable.
func (p *partition) flush() error {
	p.change.Lock()
	defer p.change.Unlock()
	if db := p.current.Load(); db != nil && !db.users.closed() {
		return db.flush()
	}
	return nil
}

// close refuses new users, waits for the current ones, makes the partition durable and closes it.
func (p *partition) close() error {
	p.change.Lock()
	defer p.change.Unlock()
	db := p.current.Load()
	if db == nil || !db.users.close() {
		return nil
	}
	err := db.flush()
	if errors.Is(err, ErrCorrupt) {
		err = nil // it was reported before, and the lost rows will be restored
	}
	if closeErr := db.pebble.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close state directory %s: %w", db.dir, closeErr))
	}
	return err
}

// empty reports whether the partition has neither rows nor an offset, and whether its database is open and can be read.
func (p *partition) empty() (empty, open bool) {
	p.change.Lock() // so that it does not close
	defer p.change.Unlock()
	db := p.current.Load()
	if db == nil || db.users.closed() {
		return false, false
	}
	if p.offset.Load() != nil {
		return false, true
	}
	empty, err := db.empty([]byte{rowPrefix})
	return empty, err == nil
}

// enter returns the current database. The caller must leave it.
func (p *partition) enter() (*database, error) {
	for {
		db := p.current.Load()
		if db == nil {
			return nil, state.ErrClosed
		}
		err := db.users.enter()
		if err == nil {
			return db, nil
		}
		if p.current.Load() == db {
			return nil, err
		}
		// The database was dropped in between.
	}
}

// Get implements state.Partition.
func (p *partition) Get(dst, key []byte) ([]byte, bool, error) {
	db, err := p.enter()
	if err != nil {
		return dst, false, err
	}
	defer db.users.leave()
	full, ok := p.keys.Get().(*[]byte)
	if !ok {
		full = new([]byte)
	}
	defer p.keys.Put(full)
	*full = append(append((*full)[:0], rowPrefix), key...)
	return db.get(db.pebble, dst, *full)
}

// Scan implements state.Partition.
func (p *partition) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	return func(yield func(state.Row, error) bool) {
		if err := p.scan(lo, hi, func(r state.Row) bool { return yield(r, nil) }); err != nil {
			yield(state.Row{}, err)
		}
	}
}

// scan calls yield with the rows until yield returns false. Then it returns no error.
func (p *partition) scan(lo, hi []byte, yield func(state.Row) bool) (err error) {
	db, err := p.enter()
	if err != nil {
		return err
	}
	defer db.users.leave()
	return db.scan(db.pebble, lo, hi, yield)
}

// Apply implements state.Partition.
func (p *partition) Apply(b *state.Batch) error {
	p.apply.Enter("ST7", "Apply or Drop of a partition")
	defer p.apply.Exit()
	db, err := p.enter()
	if err != nil {
		return err
	}
	defer db.users.leave()
	if err := db.health.check(); err != nil {
		return fmt.Errorf("apply to partition %d: %w", p.id, err)
	}
	if db.isBulk(b) {
		return db.applyBulk(func() error { return p.commit(db, b) })
	}
	return p.commit(db, b)
}

func (p *partition) commit(db *database, b *state.Batch) error {
	// 12 bytes are room for the header of a change: its kind, two lengths and the prefix.
	batch := db.pebble.NewBatchWithSize(b.Size() + 12*b.Len() + 64)
	err := db.sign(batch)
	if err == nil {
		err = fill(batch, b)
	}
	if err == nil {
		err = batch.Commit(pebble.NoSync)
	}
	if err := errors.Join(err, batch.Close()); err != nil {
		return fmt.Errorf("apply to partition %d: %w", p.id, err)
	}
	db.signed.Store(true)
	if offset, ok := b.Offset(); ok {
		p.offset.Store(&offset)
	}
	return nil
}

func fill(batch *pebble.Batch, b *state.Batch) error {
	for op := range b.Ops() {
		size := 1 + len(op.Key)
		var row *pebble.DeferredBatchOp
		if op.Value == nil {
			row = batch.DeleteDeferred(size)
		} else {
			row = batch.SetDeferred(size, len(op.Value))
			copy(row.Value, op.Value)
		}
		row.Key[0] = rowPrefix
		copy(row.Key[1:], op.Key)
		if err := row.Finish(); err != nil {
			return err
		}
	}
	if offset, ok := b.Offset(); ok {
		return batch.Set([]byte(offsetKey), binary.BigEndian.AppendUint64(nil, uint64(offset)), nil)
	}
	return nil
}

// Offset implements state.Partition.
func (p *partition) Offset() (int64, bool) {
	if offset := p.offset.Load(); offset != nil {
		return *offset, true
	}
	return 0, false
}
