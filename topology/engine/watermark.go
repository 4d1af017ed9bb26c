package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/seed84377926/millrace/codecs"
)

// watermark is the time of a clock whose records come from several origins, which are not equally fast. It is the
// minimum, over the origins, of how far each has come:
//
//	min over p of max(came(p), min(time(p), largest))
//
// where came(p) is the largest timestamp that reached the operator from p, time(p) how far p has come at all, and
// largest the largest timestamp that reached the operator. With one origin this is the largest timestamp, as in Kafka
// Streams. Flink's watermark is the same minimum; the bound by largest keeps the time of an operator that gets few of
// the records behind them, as a filter before an operator does in Kafka Streams.
type watermark struct {
	origins *origins
	of      []int   // the origins whose records can reach the operator
	came    []int64 // by origin of the task
	largest int64
	holder  int // the origin that held the clock back when it was last looked at

	committed, flushed struct {
		came    []int64
		largest int64
	}
	dirty bool // came or largest have changed since the last flush
	moved bool // they have changed since the last commit
}

func newWatermark(o *origins, of []int) *watermark {
	w := &watermark{origins: o, of: of, came: make([]int64, len(o.all)), largest: UnknownTime, holder: of[0]}
	for i := range w.came {
		w.came[i] = UnknownTime
	}
	w.begin()
	return w
}

// record takes in a record and returns the time of the clock, which was now.
func (w *watermark) record(now, timestamp int64) int64 {
	o := w.origins.now
	switch {
	case o >= 0 && timestamp > w.came[o]:
		w.came[o] = timestamp
	case timestamp <= w.largest:
		return now
	}
	w.largest = max(w.largest, timestamp)
	w.dirty, w.moved = true, true
	return w.advance(now)
}

// advance returns the time of the clock, which was now: it never goes back.
func (w *watermark) advance(now int64) int64 {
	if w.bound(w.holder) <= now {
		return now
	}
	low := int64(IdleTime)
	for _, o := range w.of {
		b := w.bound(o)
		if b < low {
			low, w.holder = b, o
			if b <= now {
				return now
			}
		}
	}
	return low
}

// bound returns how far an origin lets the clock go.
func (w *watermark) bound(o int) int64 {
	return max(w.came[o], min(w.origins.all[o].Time(), w.largest))
}

func (w *watermark) flush() {
	if w.dirty {
		w.flushed.came, w.flushed.largest, w.dirty = append(w.flushed.came[:0], w.came...), w.largest, false
	}
}

func (w *watermark) commit() {
	if w.moved {
		w.committed.came, w.committed.largest = append(w.committed.came[:0], w.flushed.came...), w.flushed.largest
		w.moved = w.dirty
	}
}

func (w *watermark) rollback() {
	if w.moved {
		copy(w.came, w.committed.came)
		w.largest = w.committed.largest
		w.begin()
	}
}

// begin makes the present times the committed ones.
func (w *watermark) begin() {
	w.dirty, w.moved = true, true
	w.flush()
	w.commit()
}

// encode returns what is stored of w beside the time of the clock: the largest timestamp, and for each topic its
// origins. Origins from which nothing came are left out.
func (w *watermark) encode() []byte {
	data := binary.AppendVarint(nil, w.largest)
	all := w.origins.all
	for first := 0; first < len(all); {
		end, known := first, 0
		for ; end < len(all) && all[end].Topic == all[first].Topic; end++ {
			if w.came[end] != UnknownTime {
				known++
			}
		}
		if known > 0 {
			data = binary.AppendUvarint(data, uint64(len(all[first].Topic)))
			data = append(data, all[first].Topic...)
			data = binary.AppendUvarint(data, uint64(known))
		}
		for i := first; i < end; i++ {
			if w.came[i] != UnknownTime {
				data = binary.AppendUvarint(data, uint64(uint32(all[i].Partition)))
				data = binary.AppendVarint(data, w.came[i])
			}
		}
		first = end
	}
	return data
}

// decode is the inverse of encode. now is the time of the clock; data is nil if it had one origin when it was stored:
// then it was as far for the origins that there are now as for that one. Origins that are gone are passed over.
func (w *watermark) decode(now int64, data []byte) error {
	w.largest = now
	if len(data) > 0 {
		var err error
		if w.largest, err = decodeCame(data, func(p Origin, came int64) {
			if o := w.origins.find(p); o >= 0 {
				w.came[o] = came
			}
		}); err != nil {
			return err
		}
	}
	w.begin()
	return nil
}

var errBadTime = errors.New("the row is not a time")

// decodeCame reads what encode wrote.
func decodeCame(data []byte, each func(p Origin, came int64)) (largest int64, err error) {
	bad := false
	unsigned := func(most uint64) uint64 {
		v, n := binary.Uvarint(data)
		if n <= 0 || v > most {
			bad, data = true, nil
			return 0
		}
		data = data[n:]
		return v
	}
	signed := func() int64 {
		v, n := binary.Varint(data)
		if n <= 0 {
			bad, data = true, nil
			return 0
		}
		data = data[n:]
		return v
	}
	largest = signed()
	for len(data) > 0 {
		length := unsigned(uint64(len(data)))
		if length > uint64(len(data)) {
			return 0, errBadTime
		}
		p := Origin{Topic: string(data[:length])}
		data = data[length:]
		for range unsigned(uint64(len(data))) {
			p.Partition = int32(unsigned(math.MaxInt32))
			came := signed()
			if bad {
				return 0, errBadTime
			}
			each(p, came)
		}
	}
	if bad {
		return 0, errBadTime
	}
	return largest, nil
}

// storedTime is a row of stream times.
type storedTime struct {
	now  int64
	came []byte // of a clock with several origins, see [watermark.encode]
}

// timeCodec encodes the rows of stream times: the time as codecs.Int64 does, then the bytes of the origins.
type timeCodec struct{}

// Append implements codecs.Codec.
func (timeCodec) Append(dst []byte, t storedTime) ([]byte, error) {
	dst, err := codecs.Int64.Append(dst, t.now)
	return append(dst, t.came...), err
}

// Decode implements codecs.Codec.
func (timeCodec) Decode(data []byte) (t storedTime, err error) {
	if len(data) < timeBytes {
		return t, fmt.Errorf("%w: it has %d bytes, want %d at least", errBadTime, len(data), timeBytes)
	}
	if t.now, err = codecs.Int64.Decode(data[:timeBytes]); err == nil && len(data) > timeBytes {
		t.came = append([]byte(nil), data[timeBytes:]...)
	}
	return t, err
}
