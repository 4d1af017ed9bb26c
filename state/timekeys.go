package state

import (
	"errors"
	"fmt"
	"math"

	"github.com/seed84377926/millrace/codecs"
)

const (
	sessionSize = 16 // bytes of the end and the start after an escaped key
	versionSize = 8  // bytes of the end after an escaped key
	timeSize    = 8  // bytes of the time that an index goes by
)

// AppendSessionKey appends the store key of a session row: the escaped key, the last and the first millisecond of the
// session. Session keys sort by key, then by end, then by start.
func AppendSessionKey(dst, key []byte, s Session) []byte {
	return appendInt64(appendInt64(appendEscaped(dst, key), s.End), s.Start)
}

// SplitSessionKey is the inverse of [AppendSessionKey]. It appends the key to dst.
func SplitSessionKey(dst, storeKey []byte) (key []byte, s Session, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err == nil && len(rest) != sessionSize {
		err = fmt.Errorf("%d bytes after the key, want the end and the start of a session of %d", len(rest), sessionSize)
	}
	if err == nil {
		s = Session{Start: readInt64(rest[timeSize:]), End: readInt64(rest)}
		err = s.validate()
	}
	if err != nil {
		return dst, Session{}, fmt.Errorf("session key %x: %w", storeKey, err)
	}
	return key, s, nil
}

// sessionOf returns the session of a well-formed session key.
func sessionOf(storeKey []byte) Session {
	times := storeKey[len(storeKey)-sessionSize:]
	return Session{Start: readInt64(times[timeSize:]), End: readInt64(times)}
}

// AppendVersionKey appends the store key of a version: the escaped key and the time at which the version ends, the
// first millisecond at which it is not valid any more. The version that is valid now ends at [math.MaxInt64]. Version
// keys sort by key, then by end.
func AppendVersionKey(dst, key []byte, end int64) []byte {
	return appendInt64(appendEscaped(dst, key), end)
}

// SplitVersionKey is the inverse of [AppendVersionKey]. It appends the key to dst.
func SplitVersionKey(dst, storeKey []byte) (key []byte, end int64, err error) {
	key, rest, err := unescape(dst, storeKey)
	if err == nil && len(rest) != versionSize {
		err = fmt.Errorf("%d bytes after the key, want the end of a version of %d", len(rest), versionSize)
	}
	if err != nil {
		return dst, 0, fmt.Errorf("version key %x: %w", storeKey, err)
	}
	return key, readInt64(rest), nil
}

// versionEnd returns the end of the version of a well-formed version key.
func versionEnd(storeKey []byte) int64 { return readInt64(storeKey[len(storeKey)-versionSize:]) }

// appendTimeIndexKey appends the row key of the local row that finds a row by the time in its store key. times is the
// number of bytes at the end of the store key that hold times, the one to find it by first. Since the parts of the
// store key only change places, one can be computed from the other without looking into the key.
func appendTimeIndexKey(dst []byte, store string, storeKey []byte, times int) []byte {
	dst = appendIndexPrefix(dst, store)
	cut := len(storeKey) - times
	dst = append(dst, storeKey[cut:]...)
	return append(dst, storeKey[:cut]...)
}

// appendKeyOfIndex appends the store key that an index key leads to; suffix is the index key without its prefix.
func appendKeyOfIndex(dst, suffix []byte, times int) []byte {
	cut := min(len(suffix), times)
	return append(append(dst, suffix[cut:]...), suffix[:cut]...)
}

// appendTTLIndexKey appends the row key of the local row that finds a row by its timestamp.
func appendTTLIndexKey(dst []byte, store string, storeKey []byte, timestamp int64) []byte {
	return append(appendInt64(appendIndexPrefix(dst, store), timestamp), storeKey...)
}

func appendIndexPrefix(dst []byte, store string) []byte {
	dst = append(dst, localPrefix)
	dst = append(dst, store...)
	return append(dst, storeEnd)
}

// afterEscaped returns the first store key above all that start with the given escaped key. Since that ends with
// escapeEnd, no carry is needed.
func afterEscaped(escaped []byte) []byte {
	end := append([]byte{}, escaped...)
	end[len(end)-1]++
	return end
}

// Versions say in their row value, before what the codec writes, whether there is a value.
const (
	versionDeleted = 0x00
	versionValue   = 0x01
)

// version is the value of a version row.
type version[V any] struct {
	value   V
	deleted bool
}

// versionCodec encodes what versions hold.
type versionCodec[V any] struct {
	value codecs.Codec[V]
}

var errBadVersion = errors.New("a version starts with neither 0x00 nor 0x01, or has a value although it is deleted")

// Append implements codecs.Codec.
func (c versionCodec[V]) Append(dst []byte, v version[V]) ([]byte, error) {
	if v.deleted {
		return append(dst, versionDeleted), nil
	}
	return c.value.Append(append(dst, versionValue), v.value)
}

// Decode implements codecs.Codec.
func (c versionCodec[V]) Decode(data []byte) (v version[V], err error) {
	switch {
	case len(data) == 1 && data[0] == versionDeleted:
		v.deleted = true
	case len(data) >= 1 && data[0] == versionValue:
		v.value, err = c.value.Decode(data[1:])
	default:
		err = errBadVersion
	}
	return v, err
}

// minus returns the time d milliseconds before t, or the beginning of time.
func minus(t, d int64) int64 {
	if t < math.MinInt64+d {
		return math.MinInt64
	}
	return t - d
}
