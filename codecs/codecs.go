// Package codecs turns typed values into bytes and back.
//
// A [Codec] is all that millrace needs to know of a key or a value. Topics, stores, changelogs and views carry bytes,
// and every typed link of a topology names the codec that reads and writes it.
//
//	value ──Append──▶ bytes ──Kafka, pebble──▶ bytes ──Decode──▶ value
//
// Three rules hold for every codec of this package, and must hold for codecs of users:
//
//   - C1: Decode(Append(nil, v)) equals v.
//   - C2: the encoding of a value never changes. State is found by encoded keys, and encoded keys choose partitions.
//   - C3: Append appends and Decode copies. Neither keeps its slice.
//
// For range reads, the encodings of keys must sort like the keys. String, Bytes, Int64 and Float64 do that, JSON does
// not. Equal JSON keys must have equal bytes. Structs do, and maps do, because encoding/json sorts their keys.
//
// Null is not a value: a null key or value of a Kafka record never reaches a codec.
//
// The package does no I/O and starts no goroutine; every codec is safe for concurrent use.
package codecs

// Codec converts values of type T to bytes and back. Implementations must be safe for concurrent use and follow the
// rules C1 to C3 of the package comment.
type Codec[T any] interface {
	// Append appends the encoding of v to dst and returns the extended slice, like the append builtin. On error it
	// returns dst unchanged.
	Append(dst []byte, v T) ([]byte, error)

	// Decode reads the value that data encodes. It must not modify data and must not keep it: the caller may reuse the
	// slice. data is never nil, but may be empty.
	Decode(data []byte) (T, error)
}
