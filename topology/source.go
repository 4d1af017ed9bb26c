package topology

import (
	"time"

	"github.com/seed84377926/millrace/codecs"
)

// Source reads a topic as a stream. A record with a negative timestamp is dropped.
//
// A topology reads each topic once: keep the stream in a variable to use it again. To read several topics as one
// stream, use [Stream.Merge].
func Source[K, V any](b *Builder, topic string, key codecs.Codec[K], value codecs.Codec[V], opts ...SourceOption) Stream[K, V] {
	o, all := sourceOptionsOf(opts)
	n := b.node("source", append(all, o.nodeOptions))
	return read(n, topic, key, value, o)
}

// sourceOptionsOf applies the options that are not nil. all gets one nil for each option that is nil.
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
	n.graph.claimSource(n)
	return readAs(n, key, value, o)
}

// readAs makes n a source of the topic or pattern that n has.
func readAs[K, V any](n *node, key codecs.Codec[K], value codecs.Codec[V], o sourceOptions) Stream[K, V] {
	n.requireCodecs(key != nil, value != nil)
	n.start = o.start
	if err := o.start.validate(); err != nil {
		n.graph.errorf(n, "%w", err)
	}
	return receive(&inputFormat[K, V]{node: n, key: key, value: value, timestamps: timestampsFor[K, V](n, o.timestamps)})
}

// claimSource records a mistake if another source reads the topic of n.
func (g *graph) claimSource(n *node) {
	if err := checkTopic(n.topic); err != nil {
		g.errorf(n, "%w", err)
	} else if other := g.sources[n.topic]; other != nil {
		g.errorf(n, "topic %q is read at %s already; use that stream or table again", n.topic, other.site)
	} else {
		g.sources[n.topic] = n
	}
}

type startOption Start

func (s startOption) applySource(o *sourceOptions) { o.start = Start(s) }
func (s startOption) applyTable(o *tableOptions)   { s.applySource(&o.sourceOptions) }

// FromLatest makes a source begin after the last record, instead of at the first one, when the application starts for
// the first time. A table that begins there lacks the rows written before.
func FromLatest() SourceOption { return startOption{Kind: StartLatest} }

// FromLast makes a source begin at the first record that is no older than age when the application starts for the first
// time (KIP-1106), or after the last record if all are older.
func FromLast(age time.Duration) SourceOption { return startOption{Kind: StartAge, Age: age} }

// FromCommitted makes the application stop with an error if its group has no offset for a partition of the source: the
// user must set the offsets.
func FromCommitted() SourceOption { return startOption{Kind: StartCommitted} }
