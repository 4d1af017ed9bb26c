package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed84377926/millrace/codecs"
)

const (
	joinSize   = 16 // bytes of the timestamp and the sequence number after an escaped key
	seqSize    = 8  // bytes of a sequence number
	sideSize   = 1  // bytes of the side after the time of a queue key
	lengthSize = 4  // bytes of the length of a part of a suppress row
)

// AppendJoinKey appends the store key of a record in a join buffer: the escaped key, the timestamp in milliseconds and
// the sequence number. Join keys sort by key, then by timestamp, then by sequence number.
func AppendJoinKey(dst, key []byte, timestamp, seq int64) []byte {
	return appendInt64(appendInt64(appendEscaped(dst, key), timestamp), seq)
}

// SplitJoinKey is the inverse of [AppendJoinKey]. It appends the key to dst.
func SplitJoinKey(dst, storeKey []byte) (key []byte, timestamp, seq int64, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err == nil && len(rest) != joinSize {
		err = fmt.Errorf("%d bytes after the key, want a timestamp and a sequence number of %d", len(rest), joinSize)
	}
	if err != nil {
		return dst, 0, 0, fmt.Errorf("join key %x: %w", storeKey, err)
	}
	return key, readInt64(rest), readInt64(rest[timeSize:]), nil
}

// joinTimes returns the timestamp and the sequence number of a well-formed join key.
func joinTimes(storeKey []byte) (timestamp, seq int64) {
	times := storeKey[len(storeKey)-joinSize:]
	return readInt64(times), readInt64(times[timeSize:])
}

// JoinSide says on which side of a join a record came. It has a part in the order of a [TimeQueue]: of two records with
// one timestamp, that of the right side comes first, as in Kafka Streams.
type JoinSide uint8

const (
	// RightSide is the right side of a join.
	RightSide JoinSide = iota
	// LeftSide is the left side of a join, also that of a join with one buffered side.
	LeftSide
)

// QueuePlace identifies an entry of a [TimeQueue], besides its key: the place that it has in the queue.
type QueuePlace struct {
	// Time is in milliseconds.
	Time int64
	// Side is that of the record.
	Side JoinSide
	// Seq tells entries apart that are equal in all else. Later ones have higher numbers, with gaps.
	Seq int64
}

// AppendQueueKey appends the store key of an entry of a time queue: time, side, escaped key, sequence number. Queue keys
// sort in just this order.
func AppendQueueKey(dst, key []byte, p QueuePlace) []byte {
	dst = append(appendInt64(dst, p.Time), byte(p.Side))
	return appendInt64(appendEscaped(dst, key), p.Seq)
}

// SplitQueueKey is the inverse of [AppendQueueKey]. It appends the key to dst.
func SplitQueueKey(dst, storeKey []byte) (key []byte, p QueuePlace, err error) {
	if len(storeKey) < timeSize+sideSize {
		return dst, p, fmt.Errorf("queue key %x: %d bytes, want a time and a side of %d first",
			storeKey, len(storeKey), timeSize+sideSize)
	}
	p.Time, p.Side = readInt64(storeKey), JoinSide(storeKey[timeSize])
	key, rest, err := unescape(dst, storeKey[timeSize+sideSize:])
	switch {
	case err != nil:
	case p.Side > LeftSide:
		err = fmt.Errorf("side %d is neither right nor left", p.Side)
	case len(rest) != seqSize:
		err = fmt.Errorf("%d bytes after the key, want a sequence number of %d", len(rest), seqSize)
	}
	if err != nil {
		return dst, QueuePlace{}, fmt.Errorf("queue key %x: %w", storeKey, err)
	}
	p.Seq = readInt64(rest)
	return key, p, nil
}

// splitSuppressKey appends the key of the store key of a suppress row, which is the escaped key, to dst.
func splitSuppressKey(dst, storeKey []byte) (key []byte, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes after the key", len(rest))
	}
	if err != nil {
		return dst, fmt.Errorf("suppress key %x: %w", storeKey, err)
	}
	return key, nil
}

// suppressed is the value of a row of a suppress buffer; the timestamp of the row is its place in time.
type suppressed[V any] struct {
	value, prior       V
	hasValue, hasPrior bool
	timestamp          int64 // of the record
	headers            []byte
	size               int    // bytes of the encoding; unsized if it is not known yet
	era                uint64 // when the row got its place; 0 if before the store was opened
}

const unsized = -1

// The flags of a suppress row say which parts it has.
const (
	flagValue = 1 << iota
	flagPrior
	flagHeaders
	flagsEnd
)

// suppressCodec encodes what a suppress buffer holds: flags, the timestamp of the record, headers and prior value each
// with its length before it, value.
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

// cutPart returns the part at the start of data that its length is before, and what follows.
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
