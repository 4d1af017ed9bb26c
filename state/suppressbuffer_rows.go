package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed84377926/millrace/codecs"
)

const lengthSize = 4 // bytes of the length of a part of a suppress row

// suppressed is the value of a row of a suppress buffer. The timestamp of the row is its place in time.
type suppressed[V any] struct {
	value, prior       V
	hasValue, hasPrior bool
	timestamp          int64 // of the record
	headers            []byte
	size               int    // bytes of the encoding, or unsized if they are not known yet
	era                uint64 // when the row got its place; 0 means before the store was opened
}

const unsized = -1

// The flags of a suppress row say which parts it has.
const (
	flagValue = 1 << iota
	flagPrior
	flagHeaders
	flagsEnd
)

// suppressCodec encodes the values of a suppress buffer: flags, the timestamp of the record, the headers and the prior
// value, each after its length, and the value.
type suppressCodec[V any] struct {
	value codecs.Codec[V]
}

// Append implements codecs.Codec.
func (c suppressCodec[V]) Append(dst []byte, v suppressed[V]) ([]byte, error) {
	var flags byte
	if v.hasValue {
		flags |= flagValue
	}
	if v.hasPrior {
		flags |= flagPrior
	}
	if len(v.headers) > 0 {
		flags |= flagHeaders
	}
	dst = appendInt64(append(dst, flags), v.timestamp)
	if len(v.headers) > 0 {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v.headers)))
		dst = append(dst, v.headers...)
	}
	if v.hasPrior {
		at := len(dst)
		var err error
		if dst, err = c.value.Append(append(dst, 0, 0, 0, 0), v.prior); err != nil {
			return dst, fmt.Errorf("prior value: %w", err)
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-lengthSize))
	}
	if !v.hasValue {
		return dst, nil
	}
	return c.value.Append(dst, v.value)
}

var (
	errShortRow    = errors.New("a suppress row ends too early")
	errBadFlags    = errors.New("a suppress row has unknown flags, or empty headers")
	errExtraValue  = errors.New("a suppress row has a value although it says that it has none")
	errShortTotals = errors.New("want two numbers of 8 bytes")
)

// Decode implements codecs.Codec.
func (c suppressCodec[V]) Decode(data []byte) (v suppressed[V], err error) {
	v.size = len(data)
	if len(data) < 1+timestampSize {
		return v, errShortRow
	}
	flags := data[0]
	v.timestamp = readInt64(data[1:])
	data = data[1+timestampSize:]
	if flags >= flagsEnd {
		return v, errBadFlags
	}
	var part []byte
	if flags&flagHeaders != 0 {
		if part, data, err = cutPart(data); err != nil {
			return v, err
		}
		if len(part) == 0 {
			return v, errBadFlags
		}
		v.headers = append([]byte{}, part...)
	}
	if flags&flagPrior != 0 {
		if part, data, err = cutPart(data); err != nil {
			return v, err
		}
		if v.prior, err = c.value.Decode(part); err != nil {
			return v, fmt.Errorf("prior value: %w", err)
		}
		v.hasPrior = true
	}
	if flags&flagValue == 0 {
		if len(data) > 0 {
			err = errExtraValue
		}
		return v, err
	}
	v.hasValue = true
	v.value, err = c.value.Decode(data)
	return v, err
}

// cutPart returns the part at the start of data, which follows its length, and the bytes after it.
func cutPart(data []byte) (part, rest []byte, err error) {
	if len(data) < lengthSize {
		return nil, nil, errShortRow
	}
	n := binary.BigEndian.Uint32(data)
	data = data[lengthSize:]
	if uint64(n) > uint64(len(data)) {
		return nil, nil, errShortRow
	}
	return data[:n], data[n:], nil
}
