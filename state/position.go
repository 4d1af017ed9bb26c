package state

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// TopicPartition names one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Compare orders by topic, then by partition; the result is that of [cmp.Compare].
func (tp TopicPartition) Compare(other TopicPartition) int {
	return cmp.Or(cmp.Compare(tp.Topic, other.Topic), cmp.Compare(tp.Partition, other.Partition))
}

// String returns topic/partition.
func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// Sender names an upstream task, as the receiver of a repartition topic sees it.
type Sender struct {
	// Topic is the repartition topic.
	Topic string
	// Partition is the partition of the upstream task.
	Partition int32
}

// Position says which input offsets a task's state reflects. Offsets are next offsets: all records below are in.
// Every commit stores it under [PositionKey], so that whoever reads the state, here or in a view, knows how far it is.
type Position struct {
	// Direct holds the topic partitions that the task reads itself.
	Direct map[TopicPartition]int64
	// Derived holds the source partitions that reach the task through repartition topics: every effect that records
	// below these offsets have on this partition is in.
	Derived map[TopicPartition]int64
	// Senders holds the last mark heard from each upstream task, which Derived is computed from.
	Senders map[Sender]map[TopicPartition]int64
	// StreamTime is the task's stream time in milliseconds, -1 if unknown.
	StreamTime int64
}

// NewPosition returns the position of a task that has read nothing: empty maps, stream time unknown.
func NewPosition() Position {
	return Position{
		Direct:     map[TopicPartition]int64{},
		Derived:    map[TopicPartition]int64{},
		Senders:    map[Sender]map[TopicPartition]int64{},
		StreamTime: -1,
	}
}

// Clone returns a deep copy. Its maps are never nil.
func (p Position) Clone() Position {
	c := NewPosition()
	c.StreamTime = p.StreamTime
	maps.Copy(c.Direct, p.Direct)
	maps.Copy(c.Derived, p.Derived)
	for sender, offsets := range p.Senders {
		marks := make(map[TopicPartition]int64, len(offsets))
		maps.Copy(marks, offsets)
		c.Senders[sender] = marks
	}
	return c
}

const positionVersion = 1

// Append appends the encoding of the position to dst. Equal positions have equal encodings.
func (p Position) Append(dst []byte) []byte {
	dst = append(dst, positionVersion)
	dst = binary.AppendVarint(dst, p.StreamTime)
	dst = appendOffsets(dst, p.Direct)
	dst = appendOffsets(dst, p.Derived)
	dst = binary.AppendUvarint(dst, uint64(len(p.Senders)))
	senders := slices.SortedFunc(maps.Keys(p.Senders), func(a, b Sender) int {
		return TopicPartition(a).Compare(TopicPartition(b))
	})
	for _, sender := range senders {
		dst = appendString(dst, sender.Topic)
		dst = binary.AppendUvarint(dst, uint64(uint32(sender.Partition)))
		dst = appendOffsets(dst, p.Senders[sender])
	}
	return dst
}

// DecodePosition reads what [Position.Append] wrote. The maps of the result are never nil; data is not kept.
func DecodePosition(data []byte) (Position, error) {
	r := reader{data: data}
	if version := r.byte(); r.err == nil && version != positionVersion {
		return Position{}, fmt.Errorf("decode position: version %d, this program reads version %d: it was written by a newer one",
			version, positionVersion)
	}
	p := NewPosition()
	p.StreamTime = r.varint()
	p.Direct = r.offsets()
	p.Derived = r.offsets()
	var previous TopicPartition
	for i := range r.count() {
		sender := Sender{Topic: r.string(), Partition: r.partition()}
		r.ascending(i, previous, TopicPartition(sender))
		previous = TopicPartition(sender)
		marks := r.offsets()
		if r.err != nil {
			break
		}
		p.Senders[sender] = marks
	}
	if err := r.end(); err != nil {
		return Position{}, fmt.Errorf("decode position: %w", err)
	}
	return p, nil
}

// appendOffsets appends the number of topics and, for each, its name, the number of partitions and each partition
// with its offset: a topic's name is written once.
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

// reader decodes positions and tokens, which may come from outside. After an error every method returns zero.
type reader struct {
	data []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.fail(errTruncated)
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.failNumber(n)
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.failNumber(n)
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) failNumber(n int) {
	if n == 0 {
		r.fail(errTruncated)
	} else {
		r.fail(errNumber)
	}
}

// count reads the number of things that follow. Each takes at least one byte, which bounds what a forged count can
// make us do.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.data)) {
		r.fail(errTruncated)
		return 0
	}
	return int(n)
}

func (r *reader) partition() int32 {
	p := r.uvarint()
	if p > 1<<31-1 {
		r.fail(errNumber)
		return 0
	}
	return int32(p)
}

func (r *reader) string() string {
	n := r.count()
	s := string(r.data[:n])
	r.data = r.data[n:]
	return s
}

func (r *reader) offsets() map[TopicPartition]int64 {
	offsets := map[TopicPartition]int64{}
	var previous TopicPartition
	entries := 0
	for range r.count() {
		topic := r.string()
		partitions := r.count()
		if partitions == 0 {
			r.fail(errOrder)
		}
		for range partitions {
			tp := TopicPartition{Topic: topic, Partition: r.partition()}
			offset := r.varint()
			r.ascending(entries, previous, tp)
			if r.err != nil {
				return offsets
			}
			offsets[tp] = offset
			previous = tp
			entries++
		}
		if r.err != nil {
			return offsets
		}
	}
	return offsets
}

// ascending fails unless this is the first entry or sorts after the one before.
func (r *reader) ascending(i int, previous, tp TopicPartition) {
	if i > 0 && previous.Compare(tp) >= 0 {
		r.fail(errOrder)
	}
}

func (r *reader) end() error {
	if r.err == nil && len(r.data) > 0 {
		r.fail(errTrailing)
	}
	return r.err
}
