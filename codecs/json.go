package codecs

import (
	"encoding/json"
	"fmt"
)

// JSON encodes values of type T with encoding/json. It ignores fields of the data that T does not have, so that a
// reader can read what a newer writer wrote.
func JSON[T any]() Codec[T] { return jsonCodec[T]{} }

type jsonCodec[T any] struct{}

func (jsonCodec[T]) Append(dst []byte, v T) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("encode %T as JSON: %w", v, err)
	}
	return append(dst, data...), nil
}

func (jsonCodec[T]) Decode(data []byte) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("decode JSON as %T: %w", v, err)
	}
	return v, nil
}
