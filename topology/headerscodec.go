package topology

import (
	"encoding/binary"
	"errors"

	"github.com/seed84377926/millrace/topology/engine"
)

// Headers in a buffer are, one after the other,
//
//	length of the key (uvarint) | key | length of the value + 1 (uvarint), 0 for a null value | value

// encodeHeaders returns the encoding of headers, nil if there are none.
func encodeHeaders(headers []engine.Header) []byte {
	var data []byte
	for _, h := range headers {
		data = binary.AppendUvarint(data, uint64(len(h.Key)))
		data = append(data, h.Key...)
		if h.Value == nil {
			data = append(data, 0)
			continue
		}
		data = binary.AppendUvarint(data, uint64(len(h.Value))+1)
		data = append(data, h.Value...)
	}
	return data
}

var errHeaders = errors.New("headers of a buffered record: the encoding is cut short")

// decodeHeaders is the inverse of encodeHeaders. The values share memory with data.
func decodeHeaders(data []byte) ([]engine.Header, error) {
	var headers []engine.Header
	for len(data) > 0 {
		key, rest, ok := cutUvarint(data, 0)
		if !ok {
			return nil, errHeaders
		}
		h := engine.Header{Key: string(key)}
		if h.Value, rest, ok = cutHeaderValue(rest); !ok {
			return nil, errHeaders
		}
		headers, data = append(headers, h), rest
	}
	return headers, nil
}

func cutHeaderValue(data []byte) (value, rest []byte, ok bool) {
	if len(data) > 0 && data[0] == 0 {
		return nil, data[1:], true
	}
	return cutUvarint(data, 1)
}

// cutUvarint reads a length, stored with extra added to it, and cuts that many bytes from data.
func cutUvarint(data []byte, extra uint64) (part, rest []byte, ok bool) {
	n, size := binary.Uvarint(data)
	if size <= 0 || n < extra || n-extra > uint64(len(data)-size) {
		return nil, nil, false
	}
	end := size + int(n-extra)
	return data[size:end:end], data[end:], true
}

// appendHeaders appends the length of encoded headers (uvarint) and the headers, so that other data can follow.
func appendHeaders(dst []byte, headers []engine.Header) []byte {
	data := encodeHeaders(headers)
	return append(binary.AppendUvarint(dst, uint64(len(data))), data...)
}

// cutHeaders is the inverse of appendHeaders. It copies the headers, and also returns the data after them.
func cutHeaders(data []byte) (headers []engine.Header, rest []byte, err error) {
	part, rest, ok := cutUvarint(data, 0)
	if !ok {
		return nil, nil, errHeaders
	}
	headers, err = decodeHeaders(append([]byte(nil), part...))
	return headers, rest, err
}
