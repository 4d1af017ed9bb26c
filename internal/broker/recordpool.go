package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordChunk is memory for records to produce. It returns to the pool when the last of its records is acknowledged or
// has failed: the client does not read a record after it has called its promise.
type recordChunk struct {
	left  atomic.Int32 // records that are not handed out yet or not acknowledged
	used  int
	slots [chunkRecords]recordSlot
}

// recordSlot is a record with its context: the context is the only field of a record that the client does not touch and
// a promise can see.
type recordSlot struct {
	record  kgo.Record
	context recordContext
}

// recordContext is the context of a record of a chunk. It never ends, see Send. Its methods must not read its fields:
// the client may call them when the record, and its context with it, is already reused.
type recordContext struct {
	chunk  *recordChunk
	origin *kgo.Record
}

// Deadline implements context.Context.
func (*recordContext) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (*recordContext) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (*recordContext) Err() error { return nil }

// Value implements context.Context.
func (*recordContext) Value(any) any { return nil }

const chunkRecords = 256

var recordChunks = sync.Pool{ //nolint:gochecknoglobals // tasks come and go and share the memory
	New: func() any { return new(recordChunk) },
}

// done returns n records to the chunk, and the chunk to the pool with the last one.
func (c *recordChunk) done(n int32) {
	if c.left.Add(-n) > 0 {
		return
	}
	clear(c.slots[:c.used])
	recordChunks.Put(c)
}

// Record returns an empty record to fill and to produce once. From then on it belongs to the client, and after its
// acknowledgement it is reused. Its Context must not be changed. origin is the input record that it is made from, nil
// if there is none; a [ProduceError] names it.
func (w *Writer) Record(origin *kgo.Record) *kgo.Record {
	c := w.chunk
	if c == nil {
		c, _ = recordChunks.Get().(*recordChunk)
		c.used = 0
		c.left.Store(chunkRecords)
		w.chunk = c
	}
	slot := &c.slots[c.used]
	c.used++
	if c.used == chunkRecords {
		w.chunk = nil // the last acknowledgement returns it to the pool
	}
	slot.context = recordContext{c, origin}
	slot.record.Context = &slot.context //nolint:fatcontext // each slot has its own context; contexts are not nested
	return &slot.record
}

// Promise is the function that [Writer.Send] calls when a record is acknowledged or has failed. Make one and use it for
// many records.
type Promise func(*kgo.Record, error)

// Promise returns a promise that calls acked, if it is not nil, when the broker has the record, whose offset is then
// set. acked must not keep the record.
func (w *Writer) Promise(acked func(*kgo.Record)) Promise {
	return func(rec *kgo.Record, err error) {
		if err != nil {
			w.recordFailure(rec, err)
		} else if acked != nil {
			acked(rec)
		}
		if c, ok := rec.Context.(*recordContext); ok {
			c.chunk.done(1)
		}
	}
}

// closeChunk returns the unused records of the current chunk.
func (w *Writer) closeChunk() {
	if c := w.chunk; c != nil {
		w.chunk = nil
		c.done(int32(chunkRecords - c.used))
	}
}
