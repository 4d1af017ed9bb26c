package state

import "fmt"

// sequence numbers the records of a store in the order of their arrival. The row with the empty store key holds the
// next number, so that numbering continues after a restart and a restore, and no record is ever overwritten. Numbers of
// an aborted transaction are used again.
type sequence struct {
	next, flushed, committed int64
	known                    bool
}

// take returns the next number. The first call reads it from the partition.
func (q *sequence) take(part Partition, store string) (int64, error) {
	if !q.known {
		data, ok, err := part.Get(nil, AppendRowKey(nil, store, nil))
		if err == nil && ok && len(data) != seqSize {
			err = fmt.Errorf("%d bytes, want %d", len(data), seqSize)
		}
		if err != nil {
			return 0, fmt.Errorf("read store %q: sequence number: %w", store, err)
		}
		if ok {
			q.committed = readInt64(data)
		}
		q.next, q.flushed, q.known = q.committed, q.committed, true
	}
	q.next++
	return q.next - 1, nil
}

// flush writes the next number before all other rows, so that a reader that sees any row of the batch sees the number.
func (q *sequence) flush(b *Batch, rowPrefix []byte) {
	if q.next != q.committed {
		b.Set(rowPrefix, appendInt64(nil, q.next))
	}
	q.flushed = q.next
}

func (q *sequence) commit()   { q.committed = q.flushed }
func (q *sequence) rollback() { q.next, q.flushed = q.committed, q.committed }
