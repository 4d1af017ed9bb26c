package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// PositionKey is the key of the row that holds the task's [Position]. Keys that start with a zero byte belong to the
// runtime, because no store name starts with one.
const PositionKey = "\x00position"

const (
	runtimePrefix = 0x00 // first byte of the keys of the runtime's rows
	localPrefix   = 0x01 // first byte of the keys of local rows
	storeEnd      = 0x00 // ends the store name
	afterStoreEnd = 0x01 // the name with this byte sorts after all rows of the store

	escape     = 0x00 // starts a two-byte code in an escaped key
	escapeZero = 0xFF // after escape: a zero byte of the key
	escapeEnd  = 0x01 // after escape: the end of the key

	timestampSize = 8 // bytes of the timestamp before each row value
)

const signBit = 1 << 63

// AppendRowKey appends the key that a row of a store has in its partition and in the changelog: the store's name, a
// zero byte, the store key.
func AppendRowKey(dst []byte, store string, storeKey []byte) []byte {
	dst = append(dst, store...)
	dst = append(dst, storeEnd)
	return append(dst, storeKey...)
}

// SplitRowKey is the inverse of [AppendRowKey]. It reports false for keys of rows that belong to no store: rows of the
// runtime and local rows. storeKey shares memory with rowKey.
func SplitRowKey(rowKey []byte) (store string, storeKey []byte, ok bool) {
	end := bytes.IndexByte(rowKey, storeEnd)
	if end <= 0 || rowKey[0] == localPrefix {
		return "", nil, false
	}
	return string(rowKey[:end]), rowKey[end+1:], true
}

// AppendRowValue appends the value of a row: the timestamp (8 bytes, order preserving) and the encoded value.
func AppendRowValue(dst []byte, timestamp int64, value []byte) []byte {
	return append(appendInt64(dst, timestamp), value...)
}

// SplitRowValue is the inverse of [AppendRowValue]. value shares memory with data and is never nil.
func SplitRowValue(data []byte) (timestamp int64, value []byte, err error) {
	if len(data) < timestampSize {
		return 0, nil, fmt.Errorf("row value has %d bytes, want at least %d: its writer used another format",
			len(data), timestampSize)
	}
	return readInt64(data), data[timestampSize:], nil
}

// appendEscaped appends key with an end mark. Escaped keys sort like the keys, and no escaped key is a prefix of
// another one.
func appendEscaped(dst, key []byte) []byte {
	for {
		zero := bytes.IndexByte(key, escape)
		if zero < 0 {
			break
		}
		dst = append(dst, key[:zero]...)
		dst = append(dst, escape, escapeZero)
		key = key[zero+1:]
	}
	dst = append(dst, key...)
	return append(dst, escape, escapeEnd)
}

var (
	errNoEnd     = errors.New("the key has no end mark")
	errBadEscape = errors.New("a zero byte is followed by neither 0xff nor 0x01")
)

// unescape appends the key at the start of data to dst and returns the bytes after its end mark.
func unescape(dst, data []byte) (key, rest []byte, err error) {
	key = dst
	for {
		zero := bytes.IndexByte(data, escape)
		if zero < 0 || zero+1 == len(data) {
			return dst, nil, errNoEnd
		}
		key = append(key, data[:zero]...)
		code := data[zero+1]
		data = data[zero+2:]
		switch code {
		case escapeEnd:
			return key, data, nil
		case escapeZero:
			key = append(key, 0)
		default:
			return dst, nil, errBadEscape
		}
	}
}

// afterEscaped returns the first store key above all store keys that start with the given escaped key. No carry is
// needed, because an escaped key ends with escapeEnd.
func afterEscaped(escaped []byte) []byte {
	end := append([]byte{}, escaped...)
	end[len(end)-1]++
	return end
}

// appendInt64 appends v. The encodings sort like the numbers.
func appendInt64(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^signBit)
}

func readInt64(data []byte) int64 { return int64(binary.BigEndian.Uint64(data) ^ signBit) }
