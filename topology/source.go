package topology

import (
	"github.com/seed84377926/millrace/codecs"

	"github.com/seed84377926/millrace/topology/engine"
)

// SourceOption is an option of [Source], [SourceMatching] and [TableOf]: [Named], [InSubTopology], [TimestampOf], [FromLatest],
// [FromLast], [FromCommitted].
type SourceOption interface {
	TableOption
	applySource(o *sourceOptions)
}

type sourceOptions struct {
	nodeOptions

	timestamps anyTimestamps
	start      Start
}

// Source reads a topic as a stream. A record with a negative timestamp is dropped.
//
// A topology reads each topic once: keep the stream in a variable to use it again. To read several topics as one
// stream, use [Stream.Merge].
func Source[K, V any](b *Builder, topic string, key codecs.Codec[K], value codecs.Codec[V], opts ...SourceOption) Stream[K, V] {
	o, all := sourceOptionsOf(opts)
	n := b.node("source", o.appendTo(all))
	return read(n, topic, key, value, o)
}

// sourceOptionsOf applies options. For each option that is nil, all has a nil.
func sourceOptionsOf(opts []SourceOption) (o sourceOptions, all []NodeOption) {
	for _, opt := range opts {
		if opt == nil {
			all = append(all, nil)
			continue
		}
		opt.applySource(&o)
	}
	return o, all
}

// read makes n the source of an external topic.
func read[K, V any](n *node, topic string, key codecs.Codec[K], value codecs.Codec[V], o sourceOptions) Stream[K, V] {
	n.topic = topic
	n.builder.claimSource(n)
	return readAs(n, key, value, o)
}

// readAs makes n a source of the topic or pattern that n has.
func readAs[K, V any](n *node, key codecs.Codec[K], value codecs.Codec[V], o sourceOptions) Stream[K, V] {
	n.requireCodecs(key != nil, value != nil)
	n.start = o.start
	if err := o.start.validate(); err != nil {
		n.builder.errorf(n, "%w", err)
	}
	return receive(&inputFormat[K, V]{node: n, key: key, value: value, timestamps: timestampsFor[K, V](n, o.timestamps)})
}

// claimSource records a mistake if another source reads the topic of n.
func (b *Builder) claimSource(n *node) {
	if err := checkTopic(n.topic); err != nil {
		b.errorf(n, "%w", err)
	} else if other := b.sources[n.topic]; other != nil {
		b.errorf(n, "topic %q is read at %s already; use that stream or table again", n.topic, other.site)
	} else {
		b.sources[n.topic] = n
	}
}

// inputFormat says how the records of a source are read.
type inputFormat[K, V any] struct {
	node       *node
	key        codecs.Codec[K]
	value      codecs.Codec[V]
	timestamps timestampOption[K, V] // nil: those of Kafka
}

// receive returns the stream that the source decodes.
func receive[K, V any](in *inputFormat[K, V]) Stream[K, V] {
	n := in.node
	out := &port[item[K, V]]{node: n}
	n.open = func(h *engine.Host, topic string) engine.Reader { return in.open(h, topic, out.receiver(h)) }
	if in.timestamps != nil {
		n.timed = true
	}
	return Stream[K, V]{out: out, keys: keying[K]{codec: in.key}}
}

func (in *inputFormat[K, V]) open(h *engine.Host, topic string, next receiver[item[K, V]]) engine.Reader {
	n := in.node
	it := &item[K, V]{key: new(encodedKey)}
	var clock *engine.Clock
	var reader engine.Reader
	if in.timestamps != nil {
		clock = h.Clock("/source/"+topic, engine.ClockHooks{})
		reader.PartitionTime, reader.Timestamp = clock, stamped(in)
	}
	reader.Read = func(r *engine.RawRecord) error {
		h.Enter(n)
		it.key.reset()
		if part, err := in.decode(r, &it.Record); err != nil {
			return h.DecodeError(n, part, err)
		}
		if clock != nil {
			it.Timestamp = in.timestamps(it.Record, clock.Now)
		}
		if it.Timestamp < 0 {
			h.Drop(n, DropNegativeTimestamp)
			return nil
		}
		if clock != nil {
			clock.Advance(it.Timestamp)
		}
		h.AdvanceStreamTime(it.Timestamp)
		return next(it)
	}
	return reader
}

// decode decodes a record and keeps its timestamp in Kafka. If it fails, part says which part could not be decoded.
func (in *inputFormat[K, V]) decode(r *engine.RawRecord, to *Record[K, V]) (part string, err error) {
	*to = Record[K, V]{NullKey: r.Key == nil, NullValue: r.Value == nil, Timestamp: r.Timestamp, Headers: r.Headers}
	if !to.NullKey {
		if to.Key, err = in.key.Decode(r.Key); err != nil {
			return "key", err
		}
	}
	if !to.NullValue {
		if to.Value, err = in.value.Decode(r.Value); err != nil {
			return "value", err
		}
	}
	return "", nil
}
