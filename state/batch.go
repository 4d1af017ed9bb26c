package state

import (
	"iter"

	"github.com/seed84377926/millrace/internal/invariants"
)

// Batch collects the changes of one commit: rows for the changelog and the engine, local rows for the engine only, and
// the changelog offset that the state reflects afterwards. The zero value is an empty batch. A Batch belongs to one
// goroutine.
type Batch struct {
	ops       []batchOp
	data      []byte
	offset    int64
	hasOffset bool
}

// Op is one change of a batch.
type Op struct {
	// Key is the key of the row inside its partition.
	Key []byte
	// Value is the new value. Nil deletes the row; an empty value is not nil.
	Value []byte
	// Local marks a row that is computed from others: the engine keeps it, and the changelog never sees it (ST4).
	Local bool
}

// batchOp locates a key and a value in Batch.data. It holds offsets, because data moves when it grows.
type batchOp struct {
	key, value, end int
	isDelete, local bool
}

// Set writes a row. It copies key and value; a nil value is stored as an empty one.
func (b *Batch) Set(key, value []byte) { b.add(key, value, false, false) }

// Delete removes a row, which need not exist. It copies key.
func (b *Batch) Delete(key []byte) { b.add(key, nil, true, false) }

// SetLocal writes a local row. It copies key and value; a nil value is stored as an empty one.
func (b *Batch) SetLocal(key, value []byte) { b.add(key, value, false, true) }

// DeleteLocal removes a local row, which need not exist. It copies key.
func (b *Batch) DeleteLocal(key []byte) { b.add(key, nil, true, true) }

// SetOffset sets the changelog offset that the state reflects once the batch is applied.
func (b *Batch) SetOffset(offset int64) { b.offset, b.hasOffset = offset, true }

// Offset returns the offset that was set since the last Reset, and false if none was.
func (b *Batch) Offset() (offset int64, ok bool) { return b.offset, b.hasOffset }

// Len returns the number of changes, local ones included.
func (b *Batch) Len() int { return len(b.ops) }

// Size returns the bytes of all keys and values.
func (b *Batch) Size() int { return len(b.data) }

// Ops yields the changes in the order in which they were added. Of two changes of one key the later one counts. The
// slices belong to the batch, must not be modified, and are valid until Reset.
func (b *Batch) Ops() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		for _, op := range b.ops {
			o := Op{Key: b.data[op.key:op.value:op.value], Local: op.local}
			if !op.isDelete {
				o.Value = b.data[op.value:op.end:op.end]
			}
			if !yield(o) {
				return
			}
		}
	}
}

// Reset empties the batch and keeps its memory for reuse.
func (b *Batch) Reset() {
	invariants.Poison(b.data) // ST6
	b.ops, b.data = b.ops[:0], b.data[:0]
	b.offset, b.hasOffset = 0, false
}

// overwrite replaces the value of the i-th change by a value of the same size.
func (b *Batch) overwrite(i int, value []byte) { copy(b.data[b.ops[i].value:b.ops[i].end], value) }

// drop removes the i-th change and all later ones.
func (b *Batch) drop(i int) { b.data, b.ops = b.data[:b.ops[i].key], b.ops[:i] }

func (b *Batch) add(key, value []byte, isDelete, local bool) {
	if b.data == nil {
		// A slice of a nil slice is nil, but an empty value must not be nil.
		b.data = make([]byte, 0, 256)
	}
	op := batchOp{key: len(b.data), isDelete: isDelete, local: local}
	b.data = append(b.data, key...)
	op.value = len(b.data)
	b.data = append(b.data, value...)
	op.end = len(b.data)
	b.ops = append(b.ops, op)
}
