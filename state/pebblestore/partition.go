package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/seed84377926/millrace/state"
)

// partition is a range of keys of the database.
type partition struct {
	engine *engine
	id     int32
	offset atomic.Pointer[int64] // nil: none
	keys   sync.Pool             // *[]byte, scratch of Get
}

// Get implements state.Partition.
func (p *partition) Get(dst, key []byte) ([]byte, bool, error) {
	if err := p.engine.users.enter(); err != nil {
		return dst, false, err
	}
	defer p.engine.users.leave()
	full, ok := p.keys.Get().(*[]byte)
	if !ok {
		full = new([]byte)
	}
	defer p.keys.Put(full)
	*full = append(appendPartition((*full)[:0], p.id), key...)
	data, closer, err := p.engine.db.Get(*full)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, p.engine.health.readError(err)
	}
	dst = append(dst, data...)
	if err := closer.Close(); err != nil {
		return dst, false, p.engine.health.readError(err)
	}
	return dst, true, nil
}

// Scan implements state.Partition.
func (p *partition) Scan(lo, hi []byte) iter.Seq2[state.Row, error] {
	return func(yield func(state.Row, error) bool) {
		if err := p.scan(lo, hi, func(r state.Row) bool { return yield(r, nil) }); err != nil {
			yield(state.Row{}, err)
		}
	}
}

// scan calls yield with the rows until it returns false. If it does so, there is no error.
func (p *partition) scan(lo, hi []byte, yield func(state.Row) bool) (err error) {
	if err := p.engine.users.enter(); err != nil {
		return err
	}
	defer p.engine.users.leave()
	_, upper := bounds(p.id)
	if hi != nil {
		upper = append(appendPartition(nil, p.id), hi...)
	}
	it, err := p.engine.db.NewIter(&pebble.IterOptions{
		LowerBound: append(appendPartition(nil, p.id), lo...),
		UpperBound: upper,
	})
	if err != nil {
		return p.engine.health.readError(err)
	}
	stopped := false
	defer func() {
		if closeErr := it.Close(); closeErr != nil && !stopped {
			err = p.engine.health.readError(closeErr)
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return p.engine.health.readError(err)
		}
		if value == nil {
			value = []byte{} // nil would mean no row
		}
		if !yield(state.Row{Key: it.Key()[partitionSize:], Value: value}) {
			stopped = true
			return nil
		}
	}
	return nil
}

// Apply implements state.Partition.
func (p *partition) Apply(b *state.Batch) error {
	if err := p.engine.users.enter(); err != nil {
		return err
	}
	defer p.engine.users.leave()
	if err := p.engine.health.check(); err != nil {
		return fmt.Errorf("apply to partition %d: %w", p.id, err)
	}
	if p.engine.bulk.takes(b) {
		return p.engine.applyBulk(func() error { return p.commit(b) })
	}
	return p.commit(b)
}

func (p *partition) commit(b *state.Batch) error {
	// Room for the header of a change: its kind, two lengths and the partition.
	batch := p.engine.db.NewBatchWithSize(b.Size() + 12*b.Len() + 64)
	err := p.fill(batch, b)
	if err == nil {
		err = batch.Commit(pebble.NoSync)
	}
	if err := errors.Join(err, batch.Close()); err != nil {
		return fmt.Errorf("apply to partition %d: %w", p.id, err)
	}
	if offset, ok := b.Offset(); ok {
		p.offset.Store(&offset)
	}
	return nil
}

func (p *partition) fill(batch *pebble.Batch, b *state.Batch) error {
	for op := range b.Ops() {
		size := partitionSize + len(op.Key)
		var row *pebble.DeferredBatchOp
		if op.Value == nil {
			row = batch.DeleteDeferred(size)
		} else {
			row = batch.SetDeferred(size, len(op.Value))
			copy(row.Value, op.Value)
		}
		binary.BigEndian.PutUint16(row.Key, uint16(p.id))
		copy(row.Key[partitionSize:], op.Key)
		if err := row.Finish(); err != nil {
			return err
		}
	}
	if offset, ok := b.Offset(); ok {
		return batch.Set(offsetKey(p.id), binary.BigEndian.AppendUint64(nil, uint64(offset)), nil)
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

func sortedKeys(set map[int32]bool) []int32 { return slices.Sorted(maps.Keys(set)) }
