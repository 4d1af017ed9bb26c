package state

import (
	"fmt"
	"iter"
	"math"
	"slices"
)

// localRow is one local row of a time order.
type localRow struct {
	key    []byte // of the local row
	suffix []byte // key without its prefix
	time   int64
}

// scanTimeOrder yields the local rows of a store from a time on, in order. Their slices are valid until the next row.
func scanTimeOrder(part Reader, store string, from int64) iter.Seq2[localRow, error] {
	return scanTimeOrderFrom(part, store, appendInt64(nil, from))
}

// scanTimeOrderFrom yields the local rows of a store whose suffix is not below from, in order.
func scanTimeOrderFrom(part Reader, store string, from []byte) iter.Seq2[localRow, error] {
	return func(yield func(localRow, error) bool) {
		prefix := appendLocalPrefix(nil, store)
		low := append(slices.Clip(prefix), from...)
		high := append(prefix[:len(prefix)-1:len(prefix)-1], afterStoreEnd)
		for row, err := range scanPartition(part, store, low, high) {
			if err == nil && len(row.Key) < len(prefix)+timeSize {
				err = fmt.Errorf("local row %q is too short", row.Key)
			}
			if err != nil {
				yield(localRow{}, err)
				return
			}
			suffix := row.Key[len(prefix):]
			if !yield(localRow{key: row.Key, suffix: suffix, time: readInt64(suffix)}, nil) {
				return
			}
		}
	}
}

// timeOrderEnd returns the first time from which a store has no local rows, or the end of time if there is none.
func timeOrderEnd(part Partition, store string) (int64, error) {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	for low < high {
		middle := low + int64(uint64(high-low)/2)
		found := false
		for _, err := range scanTimeOrder(part, store, middle) {
			if err != nil {
				return 0, err
			}
			found = true
			break
		}
		if found {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// appendLocalByKeyTime appends the row key of the local row that finds a row by the time in its store key. The last
// bytes of a store key hold its times; the argument times is the number of these bytes. The local row has them before
// the rest of the store key, so that local rows sort by the first of the times. Either key can be computed from the
// other without parsing.
func appendLocalByKeyTime(dst []byte, store string, storeKey []byte, times int) []byte {
	dst = appendLocalPrefix(dst, store)
	cut := len(storeKey) - times
	dst = append(dst, storeKey[cut:]...)
	return append(dst, storeKey[:cut]...)
}

// appendStoreKeyOfLocal is the inverse of appendLocalByKeyTime: it appends the store key of the row that a local row
// leads to. suffix is the key of the local row without its prefix.
func appendStoreKeyOfLocal(dst, suffix []byte, times int) []byte {
	cut := min(len(suffix), times)
	return append(append(dst, suffix[cut:]...), suffix[:cut]...)
}

// appendLocalByTimestamp appends the row key of the local row that finds a row by its timestamp.
func appendLocalByTimestamp(dst []byte, store string, storeKey []byte, timestamp int64) []byte {
	return append(appendInt64(appendLocalPrefix(dst, store), timestamp), storeKey...)
}

func appendLocalPrefix(dst []byte, store string) []byte {
	dst = append(dst, localPrefix)
	dst = append(dst, store...)
	return append(dst, storeEnd)
}
