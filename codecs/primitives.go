package codecs

import (
	"encoding/binary"
	"fmt"
	"math"
)

// String encodes a string as its bytes. Encodings sort like the strings do.
var String Codec[string] = stringCodec{} //nolint:gochecknoglobals // a stateless constant that Go cannot declare as one

// Bytes encodes a byte slice as itself. Decode returns a copy, never nil.
var Bytes Codec[[]byte] = bytesCodec{} //nolint:gochecknoglobals // a stateless constant that Go cannot declare as one

// Int64 encodes an int64 in 8 bytes, big endian, with the sign bit flipped, so that encodings sort like the numbers do,
// negative ones first.
var Int64 Codec[int64] = int64Codec{} //nolint:gochecknoglobals // a stateless constant that Go cannot declare as one

// Float64 encodes a float64 in 8 bytes so that encodings sort like the numbers do: the IEEE 754 bits, big endian, with
// the sign bit flipped for positive numbers and all bits flipped for negative ones. NaNs keep their bits: positive ones
// sort after +Inf, negative ones before -Inf.
var Float64 Codec[float64] = float64Codec{} //nolint:gochecknoglobals // a stateless constant that Go cannot declare as one

type stringCodec struct{}

func (stringCodec) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (stringCodec) Decode(data []byte) (string, error)          { return string(data), nil }

type bytesCodec struct{}

func (bytesCodec) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (bytesCodec) Decode(data []byte) ([]byte, error)          { return append([]byte{}, data...), nil }

const signBit = 1 << 63

type int64Codec struct{}

func (int64Codec) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)^signBit), nil
}

func (int64Codec) Decode(data []byte) (int64, error) {
	if len(data) != 8 {
		return 0, fmt.Errorf("decode int64: %d bytes, want 8", len(data))
	}
	return int64(binary.BigEndian.Uint64(data) ^ signBit), nil
}

type float64Codec struct{}

func (float64Codec) Append(dst []byte, v float64) ([]byte, error) {
	bits := math.Float64bits(v)
	if bits&signBit != 0 {
		bits = ^bits
	} else {
		bits |= signBit
	}
	return binary.BigEndian.AppendUint64(dst, bits), nil
}

func (float64Codec) Decode(data []byte) (float64, error) {
	if len(data) != 8 {
		return 0, fmt.Errorf("decode float64: %d bytes, want 8", len(data))
	}
	bits := binary.BigEndian.Uint64(data)
	if bits&signBit != 0 {
		bits &^= signBit
	} else {
		bits = ^bits
	}
	return math.Float64frombits(bits), nil
}
