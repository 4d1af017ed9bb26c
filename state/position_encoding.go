package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Versions of the encoding: the second has the times of the senders. A position without senders is written in the
// first.
const (
	positionVersion      = 1
	timedPositionVersion = 2
)

// Append appends the encoding of the position to dst. Equal positions have equal encodings.
func (p Position) Append(dst []byte) []byte {
	timed := len(p.Senders) > 0
	if timed {
		dst = append(dst, timedPositionVersion)
	} else {
		dst = append(dst, positionVersion)
	}
	dst = binary.AppendVarint(dst, p.StreamTime)
	if timed {
		dst = binary.AppendVarint(dst, p.Largest)
		dst = binary.AppendVarint(dst, p.DirectSeen)
	}
	dst = appendOffsets(dst, p.Direct)
	dst = appendOffsets(dst, p.Derived)
	dst = binary.AppendUvarint(dst, uint64(len(p.Senders)))
	senders := slices.SortedFunc(maps.Keys(p.Senders), func(a, b Sender) int {
		return TopicPartition(a).Compare(TopicPartition(b))
	})
	for _, sender := range senders {
		dst = appendString(dst, sender.Topic)
		dst = binary.AppendUvarint(dst, uint64(uint32(sender.Partition)))
		mark := p.Senders[sender]
		dst = binary.AppendVarint(dst, mark.Time)
		dst = appendOffsets(dst, mark.Offsets)
	}
	return dst
}

// DecodePosition is the inverse of [Position.Append]. The maps of the result are never nil; data is not kept.
func DecodePosition(data []byte) (Position, error) {
	d := decoder{data: data}
	version := d.byte()
	if d.err == nil && version != positionVersion && version != timedPositionVersion {
		return Position{}, fmt.Errorf("decode position: version %d, this program reads versions up to %d: it was written by a newer one",
			version, timedPositionVersion)
	}
	timed := version == timedPositionVersion
	p := NewPosition()
	p.StreamTime = d.varint()
	if timed {
		p.Largest, p.DirectSeen = d.varint(), d.varint()
	}
	p.Direct = d.offsets()
	p.Derived = d.offsets()
	var previous TopicPartition
	for i := range d.count() {
		sender := Sender{Topic: d.string(), Partition: d.partition()}
		d.ascending(i, previous, TopicPartition(sender))
		previous = TopicPartition(sender)
		mark := Mark{Time: -1}
		if timed {
			mark.Time = d.varint()
		}
		mark.Offsets = d.offsets()
		if d.err != nil {
			break
		}
		p.Senders[sender] = mark
	}
	switch {
	case timed && len(p.Senders) == 0:
		d.fail(errOrder) // Append writes the first version
	case len(p.Senders) == 0:
		p.Largest, p.DirectSeen = p.StreamTime, p.StreamTime
	}
	if err := d.end(); err != nil {
		return Position{}, fmt.Errorf("decode position: %w", err)
	}
	return p, nil
}

// appendOffsets appends the number of topics and, for each, its name, the number of partitions and each partition with
// its offset: a topic's name is written once.
func appendOffsets(dst []byte, offsets map[TopicPartition]int64) []byte {
	keys := slices.SortedFunc(maps.Keys(offsets), TopicPartition.Compare)
	topics := 0
	for i, tp := range keys {
		if i == 0 || tp.Topic != keys[i-1].Topic {
			topics++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(topics))
	for i := 0; i < len(keys); {
		end := i + 1
		for end < len(keys) && keys[end].Topic == keys[i].Topic {
			end++
		}
		dst = appendString(dst, keys[i].Topic)
		dst = binary.AppendUvarint(dst, uint64(end-i))
		for _, tp := range keys[i:end] {
			dst = binary.AppendUvarint(dst, uint64(uint32(tp.Partition)))
			dst = binary.AppendVarint(dst, offsets[tp])
		}
		i = end
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

var (
	errTruncated = errors.New("the data ends early")
	errNumber    = errors.New("a number is out of range")
	errOrder     = errors.New("entries are not in order")
	errTrailing  = errors.New("bytes follow the end")
)

// decoder decodes positions and tokens, which may come from outside the application. After an error every method
// returns zero.
type decoder struct {
	data []byte
	err  error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.data = nil
}

func (d *decoder) byte() byte {
	if len(d.data) == 0 {
		d.fail(errTruncated)
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.failNumber(n)
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.data)
	if n <= 0 {
		d.failNumber(n)
		return 0
	}
	d.data = d.data[n:]
	return v
}

func (d *decoder) failNumber(n int) {
	if n == 0 {
		d.fail(errTruncated)
	} else {
		d.fail(errNumber)
	}
}

// count reads the number of elements that follow. Each element takes at least one byte, which bounds the work that a
// forged count can cause.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.data)) {
		d.fail(errTruncated)
		return 0
	}
	return int(n)
}

func (d *decoder) partition() int32 {
	p := d.uvarint()
	if p > 1<<31-1 {
		d.fail(errNumber)
		return 0
	}
	return int32(p)
}

func (d *decoder) string() string {
	n := d.count()
	s := string(d.data[:n])
	d.data = d.data[n:]
	return s
}

func (d *decoder) offsets() map[TopicPartition]int64 {
	offsets := map[TopicPartition]int64{}
	var previous TopicPartition
	entries := 0
	for range d.count() {
		topic := d.string()
		partitions := d.count()
		if partitions == 0 {
			d.fail(errOrder)
		}
		for range partitions {
			tp := TopicPartition{Topic: topic, Partition: d.partition()}
			offset := d.varint()
			d.ascending(entries, previous, tp)
			if d.err != nil {
				return offsets
			}
			offsets[tp] = offset
			previous = tp
			entries++
		}
		if d.err != nil {
			return offsets
		}
	}
	return offsets
}

// ascending fails unless tp is the first entry or sorts after the previous one.
func (d *decoder) ascending(i int, previous, tp TopicPartition) {
	if i > 0 && previous.Compare(tp) >= 0 {
		d.fail(errOrder)
	}
}

func (d *decoder) end() error {
	if d.err == nil && len(d.data) > 0 {
		d.fail(errTrailing)
	}
	return d.err
}
