package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordChunk is memory for records to produce. It goes back to the pool when the last of its records is acknowledged or
// failed: the client does not look at a record after it has told what became of it.
type recordChunk struct {
	left  atomic.Int32 // records that are not handed out yet, or not acknowledged
	used  int
	slots [chunkRecords]recordSlot
}

// recordSlot is a record with its context: the only field of a record that the client leaves alone and a promise can see.
type recordSlot struct {
	record  kgo.Record
	context recordContext
}

// recordContext is the context of a record of a chunk. It never ends: see Send. Its methods must not look at it: the client
// may ask for its end when the record, and with it the context, is used for something else already.
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

var recordChunks = sync.Pool{ //nolint:gochecknoglobals // tasks come and go, the memory is for all of them
	New: func() any { return new(recordChunk) },
}

// done gives back n records.
func (c *recordChunk) done(n int32) {
	if c.left.Add(-n) > 0 {
		return
	}
	clear(c.slots[:c.used])
	recordChunks.Put(c)
}

// Record returns an empty record to fill and to produce, once. It is the client's from then on: once it is acknowledged it
// is used for something else. Its Context must not be changed. origin is the input record that it comes from, nil if it
// comes from none: a [ProduceError] tells it again.
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
		w.chunk = nil // with the last acknowledgement it is somebody else's
	}
	slot.context = recordContext{c, origin}
	slot.record.Context = &slot.context //nolint:fatcontext // each slot has a context of its own, and none holds another
	return &slot.record
}

// Promise is what becomes of a record: the function that [Writer.Send] is given. Make one and use it for many records.
type Promise func(*kgo.Record, error)

// Promise returns a promise that calls acked, if that is not nil, when the broker has the record; its offset is set then.
// The record must not be kept.
func (w *Writer) Promise(acked func(*kgo.Record)) Promise {
	return func(rec *kgo.Record, err error) {
		if err != nil {
			w.refuse(rec, err)
		} else if acked != nil {
			acked(rec)
		}
		if c, ok := rec.Context.(*recordContext); ok {
			c.chunk.done(1)
		}
	}
}

// closeChunk gives back what is left of the current chunk.
func (w *Writer) closeChunk() {
	if c := w.chunk; c != nil {
		w.chunk = nil
		c.done(int32(chunkRecords - c.used))
	}
}
