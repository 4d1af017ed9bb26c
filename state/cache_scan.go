package state

import (
	"fmt"
	"iter"

	"github.com/seed84377926/millrace/codecs"
)

// scan yields the existing rows with lo <= store key < hi in key order: rows of the partition, with dirty rows merged
// in. A nil hi means no upper bound. The loop sees changes that its body makes ahead of its position. Scanned rows are
// not cached, so that a full scan does not evict rows that are in use.
func (c *cache[V]) scan(lo, hi []byte) iter.Seq2[scanned[V], error] {
	return func(yield func(scanned[V], error) bool) {
		c.counts.scans++
		var key []byte // of the yielded dirty row
		dirty := c.dirty.cursor(lo, hi)
		yieldDirty := func(r *row[V]) bool {
			dirty.next(r)
			if !r.present {
				return true
			}
			key = append(key[:0], r.key...)
			return yield(scanned[V]{key: key, value: r.value, timestamp: r.timestamp}, nil)
		}
		prefix := c.rowKey[:c.prefixLen]
		low, high := storeBounds(prefix, lo, hi)
	rows:
		for rowOf, err := range scanPartition(c.part, c.spec.Name, low, high) {
			if err != nil {
				yield(scanned[V]{}, fmt.Errorf("scan store %q: %w", c.spec.Name, err))
				return
			}
			storeKey := rowOf.Key[len(prefix):]
			for r := dirty.peek(); r != nil && r.key <= string(storeKey); r = dirty.peek() {
				same := r.key == string(storeKey)
				if !yieldDirty(r) {
					return
				}
				if same {
					continue rows
				}
			}
			dirty.passed(storeKey)
			s := scanned[V]{key: storeKey}
			if r := c.rows[string(storeKey)]; r != nil {
				s.value, s.timestamp = r.value, r.timestamp
			} else if s.timestamp, s.value, err = decodeRow(c.codec, rowOf.Value); err != nil {
				yield(scanned[V]{}, c.failed("scan", storeKey, err))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
		for r := dirty.peek(); r != nil; r = dirty.peek() {
			if !yieldDirty(r) {
				return
			}
		}
	}
}

// scanned is one row of a scan. key is valid until the next row.
type scanned[V any] struct {
	key       []byte
	value     V
	timestamp int64
}

// storeBounds returns the bounds of a range of store keys as row keys. prefix is the row key prefix of the store.
func storeBounds(prefix, lo, hi []byte) (low, high []byte) {
	low = append(append([]byte{}, prefix...), lo...)
	high = append([]byte{}, prefix...)
	if hi != nil {
		return low, append(high, hi...)
	}
	high[len(high)-1] = afterStoreEnd
	return low, high
}

// readRow reads and decodes one row.
func readRow[V any](
	store string, codec codecs.Codec[V], part Reader, rowKey []byte,
) (value V, timestamp int64, ok bool, err error) {
	data, ok, err := part.Get(nil, rowKey)
	if err == nil && ok {
		timestamp, value, err = decodeRow(codec, data)
	}
	if err != nil {
		return value, 0, false, fmt.Errorf("read store %q: row %q: %w", store, rowKey, err)
	}
	return value, timestamp, ok, nil
}

// scanRows yields the decoded rows of a store with low <= store key < high. A nil high means no upper bound.
func scanRows[V any](
	store string, codec codecs.Codec[V], part Reader, low, high []byte,
) iter.Seq2[scanned[V], error] {
	return func(yield func(scanned[V], error) bool) {
		prefix := AppendRowKey(nil, store, nil)
		from, to := storeBounds(prefix, low, high)
		for row, err := range scanPartition(part, store, from, to) {
			if err != nil {
				yield(scanned[V]{}, fmt.Errorf("scan store %q: %w", store, err))
				return
			}
			s := scanned[V]{key: row.Key[len(prefix):]}
			if s.timestamp, s.value, err = decodeRow(codec, row.Value); err != nil {
				yield(scanned[V]{}, fmt.Errorf("scan store %q: row %q: %w", store, row.Key, err))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

// prefixEnd returns the first key above all keys with the prefix, or nil if there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xFF {
			end := append([]byte{}, prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

func decodeRow[V any](codec codecs.Codec[V], data []byte) (timestamp int64, value V, err error) {
	timestamp, encoded, err := SplitRowValue(data)
	if err != nil {
		return 0, value, err
	}
	value, err = codec.Decode(encoded)
	return timestamp, value, err
}
