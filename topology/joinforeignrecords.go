package topology

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/seed84377926/millrace/codecs"
)

// The records that the two sides of a foreign-key join exchange; docs/formats.md has their bytes.

const foreignVersion = 1

// valueHash identifies a value of the left table. The zero hash means that the row does not exist.
type valueHash struct {
	sum   [16]byte
	known bool
}

// hashValue returns the hash of an encoded value: the first half of its SHA-256. Kafka Streams takes 128 bits of
// murmur3.
func hashValue(encoded []byte) valueHash {
	sum := sha256.Sum256(encoded)
	return valueHash{sum: [16]byte(sum[:16]), known: true}
}

// instruction says what the right side does with a subscription. The names are the names of Kafka Streams.
type instruction uint8

const (
	deleteKeyNoPropagate     instruction = iota // forget it, say nothing
	deleteKeyAndPropagate                       // forget it, answer that there is no row
	propagateNullIfNoValue                      // keep it, answer with the row or that there is none
	propagateOnlyIfAvailable                    // keep it, answer with the row or that any result must be deleted
	instructions
)

func (i instruction) deletes() bool { return i == deleteKeyNoPropagate || i == deleteKeyAndPropagate }

// subscription is the value of a record from the left side to the right one, whose key is the foreign key: a row of the
// left table begins or ends to refer to it. If noForeignKey is set, a row without a foreign key asks for an answer all
// the same; the key of the record is then the key of the row.
type subscription struct {
	instruction  instruction
	noForeignKey bool
	hash         valueHash // of the row as it is now
	partition    int32     // of the row
	primaryKey   []byte    // of the row
}

// answer is the value of a record from the right side to the left one, whose key is the key of the row that asked.
type answer[W any] struct {
	hash  valueHash // of the row as it was when it asked
	value W
	found bool // there is a value
	// retract says that a missing value matters only if the row already has a result.
	retract bool
}

// Bits of the flags of both.
const (
	foreignHash    = 1 << iota // a hash follows
	foreignMissing             // of a subscription: no foreign key; of an answer: no value
	foreignRetract             // of an answer
)

func (s *subscription) append(dst []byte) []byte {
	dst = append(dst, foreignVersion, byte(s.instruction))
	dst = appendForeignHash(dst, s.hash, flag(s.noForeignKey, foreignMissing))
	dst = binary.AppendUvarint(dst, uint64(uint32(s.partition)))
	return append(dst, s.primaryKey...)
}

// decodeSubscription reads what append wrote. The primary key points into data.
func decodeSubscription(data []byte) (s subscription, err error) {
	if data, err = foreignHeader(data); err != nil {
		return s, fmt.Errorf("subscription: %w", err)
	}
	if len(data) == 0 {
		return s, fmt.Errorf("subscription: %w", errForeignShort)
	}
	if s.instruction = instruction(data[0]); s.instruction >= instructions {
		return s, fmt.Errorf("subscription: instruction %d is unknown", s.instruction)
	}
	hash, flags, data, err := foreignHashOf(data[1:], foreignHash|foreignMissing)
	if err != nil {
		return s, fmt.Errorf("subscription: %w", err)
	}
	s.hash, s.noForeignKey = hash, flags&foreignMissing != 0
	if s.noForeignKey && s.instruction != propagateNullIfNoValue {
		return s, fmt.Errorf("subscription: instruction %d without a foreign key", s.instruction)
	}
	if s.partition, data, err = foreignPartition(data); err != nil {
		return s, fmt.Errorf("subscription: %w", err)
	}
	s.primaryKey = data
	return s, nil
}

// append appends the answer. value is the codec of the right table.
func (a *answer[W]) append(dst []byte, value codecs.Codec[W]) ([]byte, error) {
	dst = append(dst, foreignVersion)
	dst = appendForeignHash(dst, a.hash, flag(!a.found, foreignMissing)|flag(a.retract, foreignRetract))
	if !a.found {
		return dst, nil
	}
	return value.Append(dst, a.value)
}

// decodeAnswer reads what append wrote.
func decodeAnswer[W any](data []byte, value codecs.Codec[W]) (a answer[W], err error) {
	if data, err = foreignHeader(data); err != nil {
		return a, fmt.Errorf("answer: %w", err)
	}
	hash, flags, data, err := foreignHashOf(data, foreignHash|foreignMissing|foreignRetract)
	if err != nil {
		return a, fmt.Errorf("answer: %w", err)
	}
	a.hash, a.found, a.retract = hash, flags&foreignMissing == 0, flags&foreignRetract != 0
	switch {
	case a.found && a.retract:
		return a, errors.New("answer: there is a value, and a result is to be taken back")
	case a.found:
		if a.value, err = value.Decode(data); err != nil {
			return a, fmt.Errorf("answer: %w", err)
		}
	case len(data) > 0:
		return a, fmt.Errorf("answer: %d bytes follow the end", len(data))
	}
	return a, nil
}

// subscriber is the value of a row of the store of subscriptions; its key has the foreign key and the key of the row
// that refers to it, see appendSubscribersPrefix.
type subscriber struct {
	sum       [16]byte // of the hash of the row
	partition int32    // of the row
}

type subscriberCodec struct{}

// Append implements codecs.Codec.
func (subscriberCodec) Append(dst []byte, s subscriber) ([]byte, error) {
	dst = append(dst, foreignVersion)
	dst = append(dst, s.sum[:]...)
	return binary.AppendUvarint(dst, uint64(uint32(s.partition))), nil
}

// Decode implements codecs.Codec.
func (subscriberCodec) Decode(data []byte) (s subscriber, err error) {
	if data, err = foreignHeader(data); err != nil {
		return s, fmt.Errorf("subscriber: %w", err)
	}
	if len(data) < len(s.sum) {
		return s, fmt.Errorf("subscriber: %w", errForeignShort)
	}
	s.sum = [16]byte(data[:len(s.sum)])
	s.partition, data, err = foreignPartition(data[len(s.sum):])
	if err == nil && len(data) > 0 {
		err = fmt.Errorf("%d bytes follow the end", len(data))
	}
	if err != nil {
		return s, fmt.Errorf("subscriber: %w", err)
	}
	return s, nil
}

// appendSubscribersPrefix appends the prefix that the keys of all subscribers to a foreign key share. Each foreign key
// has a prefix of its own.
func appendSubscribersPrefix(dst, foreignKey []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(foreignKey)))
	return append(dst, foreignKey...)
}

// prefixEnd turns a prefix, which has a byte below ff, into the first key after all keys that begin with it.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < math.MaxUint8 {
			prefix[i]++
			return prefix[:i+1]
		}
	}
	return nil
}

var errForeignShort = errors.New("the data ends early")

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

func appendForeignHash(dst []byte, h valueHash, flags byte) []byte {
	if !h.known {
		return append(dst, flags)
	}
	return append(append(dst, flags|foreignHash), h.sum[:]...)
}

// foreignHeader reads the version.
func foreignHeader(data []byte) (rest []byte, err error) {
	switch {
	case len(data) == 0:
		return nil, errForeignShort
	case data[0] != foreignVersion:
		return nil, fmt.Errorf("version %d, this program reads version %d: it was written by another one", data[0], foreignVersion)
	}
	return data[1:], nil
}

// foreignHashOf reads the flags and the hash.
func foreignHashOf(data []byte, allowed byte) (h valueHash, flags byte, rest []byte, err error) {
	if len(data) == 0 {
		return h, 0, nil, errForeignShort
	}
	flags, data = data[0], data[1:]
	if flags&^allowed != 0 {
		return h, 0, nil, fmt.Errorf("flags %x are unknown", flags)
	}
	if flags&foreignHash != 0 {
		if len(data) < len(h.sum) {
			return h, 0, nil, errForeignShort
		}
		h = valueHash{sum: [16]byte(data[:len(h.sum)]), known: true}
		data = data[len(h.sum):]
	}
	return h, flags, data, nil
}

// foreignPartition reads the number of a partition.
func foreignPartition(data []byte) (partition int32, rest []byte, err error) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n > math.MaxInt32 {
		return 0, nil, errors.New("the partition is out of range or cut off")
	}
	return int32(n), data[size:], nil
}
