package topology

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/state"
)

// Windowed is a key together with a window.
type Windowed[K any] struct {
	Key    K
	Window state.Window
}

// String returns "key@start/end".
func (w Windowed[K]) String() string { return fmt.Sprintf("%v@%v", w.Key, w.Window) }

// WithWindow keeps the window in the key, for [WindowedTable.ToStream].
func WithWindow[K any](key K, window state.Window) Windowed[K] { return Windowed[K]{key, window} }

const (
	windowStartSize   = 8
	sessionBoundsSize = 16
)

// TimeWindowedCodec encodes the keys of windows of one size as Kafka Streams does: the encoded key, followed by the
// start of the window in 8 bytes, big endian. Records with such keys are partitioned by the key without the window, so
// that all windows of a key are in one partition.
func TimeWindowedCodec[K any](key codecs.Codec[K], size time.Duration) codecs.Codec[Windowed[K]] {
	return timeWindowedCodec[K]{key: key, size: size.Milliseconds()}
}

// CalendarWindowedCodec encodes the keys of windows by the calendar as [TimeWindowedCodec] encodes those of windows of
// one size: the encoded key, followed by the start of the window. The end follows from the start and the calendar of w.
func CalendarWindowedCodec[K any](key codecs.Codec[K], w CalendarWindows) codecs.Codec[Windowed[K]] {
	return timeWindowedCodec[K]{key: key, calendar: w.calendar}
}

type timeWindowedCodec[K any] struct {
	key      codecs.Codec[K]
	size     int64
	calendar state.Calendar // instead of a size
}

// innerKeyer is a codec of keys whose partition depends on a part of their bytes only.
type innerKeyer interface {
	// innerKey returns the part of an encoded key that decides the partition.
	innerKey(encoded []byte) []byte
}

// Append implements codecs.Codec.
func (c timeWindowedCodec[K]) Append(dst []byte, w Windowed[K]) ([]byte, error) {
	data, err := c.key.Append(dst, w.Key)
	if err != nil {
		return dst, fmt.Errorf("key of a window: %w", err)
	}
	return binary.BigEndian.AppendUint64(data, uint64(w.Window.Start)), nil
}

// Decode implements codecs.Codec.
func (c timeWindowedCodec[K]) Decode(data []byte) (w Windowed[K], err error) {
	if len(data) < windowStartSize {
		return w, fmt.Errorf("key of a window: %d bytes, want at least %d", len(data), windowStartSize)
	}
	start := binary.BigEndian.Uint64(data[len(data)-windowStartSize:])
	if start > math.MaxInt64-uint64(c.size) {
		return w, errors.New("key of a window: the start of the window is beyond all time")
	}
	if w.Key, err = c.key.Decode(c.innerKey(data)); err != nil {
		return w, fmt.Errorf("key of a window: %w", err)
	}
	w.Window = state.Window{Start: int64(start), End: int64(start) + c.size}
	if c.calendar != (state.Calendar{}) {
		if err := c.calendar.Validate(); err != nil {
			return w, fmt.Errorf("key of a window: %w", err)
		}
		w.Window.End = c.calendar.Window(w.Window.Start).End
	}
	return w, nil
}

// SessionWindowedCodec encodes the keys of sessions as Kafka Streams does: the encoded key, followed by the end and the
// start of the session in 8 bytes each, big endian. Records with such keys are partitioned by the key without the
// session, so that all sessions of a key are in one partition.
func SessionWindowedCodec[K any](key codecs.Codec[K]) codecs.Codec[Windowed[K]] {
	return sessionWindowedCodec[K]{key}
}

type sessionWindowedCodec[K any] struct{ key codecs.Codec[K] }

// Append implements codecs.Codec.
func (c sessionWindowedCodec[K]) Append(dst []byte, w Windowed[K]) ([]byte, error) {
	data, err := c.key.Append(dst, w.Key)
	if err != nil {
		return dst, fmt.Errorf("key of a session: %w", err)
	}
	data = binary.BigEndian.AppendUint64(data, uint64(w.Window.End))
	return binary.BigEndian.AppendUint64(data, uint64(w.Window.Start)), nil
}

// Decode implements codecs.Codec.
func (c sessionWindowedCodec[K]) Decode(data []byte) (w Windowed[K], err error) {
	if len(data) < sessionBoundsSize {
		return w, fmt.Errorf("key of a session: %d bytes, want at least %d", len(data), sessionBoundsSize)
	}
	bounds := data[len(data)-sessionBoundsSize:]
	w.Window.End = int64(binary.BigEndian.Uint64(bounds))
	w.Window.Start = int64(binary.BigEndian.Uint64(bounds[sessionBoundsSize/2:]))
	if w.Window.Start < 0 || w.Window.Start > w.Window.End {
		return Windowed[K]{}, fmt.Errorf("key of a session: it would start at %d and end at %d", w.Window.Start, w.Window.End)
	}
	if w.Key, err = c.key.Decode(c.innerKey(data)); err != nil {
		return w, fmt.Errorf("key of a session: %w", err)
	}
	return w, nil
}

func (c sessionWindowedCodec[K]) innerKey(encoded []byte) []byte {
	end := len(encoded) - sessionBoundsSize
	return encoded[:end:end]
}

func (c timeWindowedCodec[K]) innerKey(encoded []byte) []byte {
	end := len(encoded) - windowStartSize
	return encoded[:end:end]
}
