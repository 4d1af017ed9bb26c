// Package codecs turns typed values into bytes and back.
//
// A [Codec] is the only thing millrace ever asks of a key or a value: topics, stores, changelogs and views all
// carry bytes, and every typed edge of a topology names the codec that reads and writes it.
//
//	value ──Append──▶ bytes ──Kafka, pebble──▶ bytes ──Decode──▶ value
//
// Three rules hold for every codec of this package and for those that users write:
//
//   - C1: Decode(Append(nil, v)) equals v.
//   - C2: the encoding of a value never changes: state is found by its encoded key and partitions are chosen by it.
//   - C3: Append appends and Decode copies: neither keeps the slice it was given.
//
// Codecs whose encodings sort like their values (String, Bytes, Int64, Float64) may be the keys of range
// reads. JSON does not sort, and a JSON key must have one spelling (structs do, maps are sorted by encoding/json).
//
// Null is not a value: a null key or value of a Kafka record never reaches a codec.
//
// The package does no I/O and starts no goroutine; every codec is safe for concurrent use.
package codecs

// Codec converts values of type T to bytes and back. Implementations must be safe for concurrent use and follow the
// rules C1 to C3 of the package comment.
type Codec[T any] interface {
	// Append appends the encoding of v to dst and returns the extended slice, like the append builtin. On error
	// the returned slice is dst as it was given.
	Append(dst []byte, v T) ([]byte, error)

	// Decode reads the value that data encodes. It must not modify data and must not keep it: the caller may
	// reuse the slice. data is never nil, but may be empty.
	Decode(data []byte) (T, error)
}
