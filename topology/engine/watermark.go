package engine

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/codecs"
)

// watermark is the time of a clock whose records come from several origins, which are not equally fast. It is the
// minimum, over the origins, of how far each has come, and at most the largest timestamp that has reached the operator:
//
//	min(largest, min over p of time(p))
//
// The records themselves do not say how far their origin has come: a task that is downstream of several others relays
// the fast and the slow ones, so its records are in no order, and the result of an operator has the timestamp of the
// latest record that it is made of. Flink's watermark is the same minimum. The bound by largest means that the time of
// an operator never exceeds the timestamps that reached it, as in Kafka Streams.
type watermark struct {
	origins *origins
	of      []int // the origins whose records can reach the operator
	largest KeptTime
	holder  int // the origin that held the clock back when it was last looked at
}

func newWatermark(o *origins, of []int) *watermark {
	return &watermark{origins: o, of: of, holder: of[0], largest: unknown("")}
}

// record takes in a record and returns the time of the clock, which was now.
func (w *watermark) record(now, timestamp int64) int64 {
	w.largest.Advance(timestamp)
	return w.advance(now)
}

// advance returns the time of the clock, which was now: it never goes back.
func (w *watermark) advance(now int64) int64 {
	if min(w.largest.Now, w.origins.usable[w.holder]) <= now {
		return now
	}
	low := w.largest.Now
	for _, o := range w.of {
		if at := w.origins.usable[o]; at < low {
			low, w.holder = at, o
			if low <= now {
				return now
			}
		}
	}
	return low
}

// slowest returns the origin that has come least far.
func (w *watermark) slowest() int {
	return slices.MinFunc(w.of, func(a, b int) int { return cmp.Compare(w.origins.usable[a], w.origins.usable[b]) })
}

var errBadTime = errors.New("the row is not a time")

// storedTime is a row of stream times.
type storedTime struct {
	now int64
	// largest is the largest timestamp that has reached the operator, if its records come from several origins; else it
	// is now.
	largest int64
}

// timeCodec encodes the rows of stream times: the time as codecs.Int64 does, then the largest timestamp if it is
// another one.
type timeCodec struct{}

// Append implements codecs.Codec.
func (timeCodec) Append(dst []byte, t storedTime) ([]byte, error) {
	dst, err := codecs.Int64.Append(dst, t.now)
	if t.largest != t.now {
		dst = binary.AppendVarint(dst, t.largest)
	}
	return dst, err
}

// Decode implements codecs.Codec.
func (timeCodec) Decode(data []byte) (t storedTime, err error) {
	if len(data) < timeBytes {
		return t, fmt.Errorf("%w: it has %d bytes, want %d at least", errBadTime, len(data), timeBytes)
	}
	if t.now, err = codecs.Int64.Decode(data[:timeBytes]); err != nil {
		return t, err
	}
	t.largest = t.now
	if rest := data[timeBytes:]; len(rest) > 0 {
		var n int
		if t.largest, n = binary.Varint(rest); n != len(rest) || t.largest == t.now {
			return storedTime{}, fmt.Errorf("%w: bytes follow the time", errBadTime)
		}
	}
	return t, nil
}
