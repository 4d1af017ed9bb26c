package state

import "fmt"

// AppendIndexKey appends the store key of a row of an index: the escaped index key and the key of the row that it leads to. The
// rows of an index sort by index key, then by key.
func AppendIndexKey(dst, index, key []byte) []byte { return append(appendEscaped(dst, index), key...) }

// SplitIndexKey is the inverse of [AppendIndexKey]. It appends the index key to dst. key shares memory with storeKey.
func SplitIndexKey(dst, storeKey []byte) (index, key []byte, err error) {
	index, key, err = unescape(dst, storeKey)
	if err != nil {
		return dst, nil, fmt.Errorf("index key %x: %w", storeKey, err)
	}
	return index, key, nil
}

// indexBounds returns the store keys between which the rows of an index lie whose index keys are at least lo and below hi; nil
// leaves that end open. The row of the store itself is never among them.
func indexBounds(lo, hi []byte) (low, high []byte) {
	if hi != nil {
		high = appendEscaped([]byte{}, hi)
	}
	return appendEscaped([]byte{}, lo), high
}
