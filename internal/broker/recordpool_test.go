package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A chunk whose records are all acknowledged belongs to whoever takes it next. Its writer once went on with it: it
// looked whether the chunk was used up, and by then another writer had begun it again.
func TestWriter_usedUpMemoryIsSomebodyElses(t *testing.T) {
	one, other := &Writer{}, &Writer{}
	done := one.Promise(nil)
	for range chunkRecords {
		done(one.Record(nil), nil)
	}
	chunkOf := func(w *Writer) *recordChunk {
		c, ok := w.Record(nil).Context.(*recordContext)
		require.True(t, ok)
		return c.chunk
	}
	require.NotSame(t, chunkOf(other), chunkOf(one))
}

func TestWriter_memoryGoesBackWithTheLastAcknowledgement(t *testing.T) {
	w := &Writer{}
	done := w.Promise(nil)
	first := w.Record(nil)
	c, ok := first.Context.(*recordContext)
	require.True(t, ok)
	chunk := c.chunk
	first.Topic = "t"
	done(first, nil)
	require.EqualValues(t, chunkRecords-1, chunk.left.Load())
	require.Equal(t, "t", chunk.slots[0].record.Topic, "the client may still look at it")
	w.closeChunk()
	require.Zero(t, chunk.left.Load())
	require.Empty(t, chunk.slots[0].record.Topic)
	w.closeChunk() // again
	require.Zero(t, chunk.left.Load())
}
