package topology

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
)

// RepartitionOption is an option of [Stream.Repartition], [Stream.GroupBy] and [Table.GroupBy]: [Partitions], [PartitionBy],
// [Multicast], [InSubTopology].
type RepartitionOption interface{ applyRepartition(r *repartition) }

type partitionsOption int32

func (p partitionsOption) applyRepartition(r *repartition) { r.partitions, r.counted = int32(p), true }

// Partitions sets the number of partitions of a repartition topic. Without it, the topic has as many partitions as the
// topics it is joined with, or else as many as the sources before it. The number cannot change during the life of the
// topic.
func Partitions(n int32) RepartitionOption { return partitionsOption(n) }

// repartition connects the sink before a repartition topic with the source after it.
type repartition struct {
	name         string
	suffix       string // of the topic
	sink, source *node
	partitions   int32
	counted      bool // partitions was given
	partitioner  anyPartitioner
	sub          string // see InSubTopology
	placed       bool
	follows      bool // its reader decides how many partitions there are
}

// Repartition sends the stream through a topic of its own, <app>-<name>-repartition, so that records with equal keys
// come together in one partition. All operators after it run in another sub-topology. A record with a null key is
// dropped, unless a left or outer join downstream uses it (KIP-962).
func (s Stream[K, V]) Repartition(
	name string, key codecs.Codec[K], value codecs.Codec[V], opts ...RepartitionOption,
) Stream[K, V] {
	return through(s, "repartition", name, key, value, opts)
}

func through[K, V any](
	s Stream[K, V], kind, name string, key codecs.Codec[K], value codecs.Codec[V], opts []RepartitionOption,
) Stream[K, V] {
	b := s.builder()
	r := &repartition{name: name, suffix: "-repartition"}
	sink := b.namedNode(kind, name)
	sink.requireCodecs(key != nil, value != nil)
	for _, opt := range opts {
		if opt == nil {
			b.errorf(sink, "option is nil")
			continue
		}
		opt.applyRepartition(r)
	}
	if r.counted && r.partitions <= 0 {
		b.errorf(sink, "%d partitions; a topic has at least one", r.partitions)
	}
	sink.topic = fmt.Sprintf("%s-%s%s", b.app, name, r.suffix)
	source := &node{builder: b, kind: "source", site: sink.site, topic: sink.topic, repartition: r}
	b.register(source)
	if r.placed {
		source.place(r.sub)
	}
	sink.repartition, r.sink, r.source = r, sink, source

	out := &output[K, V]{
		node: sink, keys: keying[K]{codec: key}, value: value, partitioner: partitionerFor[K, V](sink, r.partitioner),
	}
	out.write(s)
	repartitioned := receive(&inputFormat[K, V]{node: source, key: key, value: value})
	repartitioned.keys.repartition = r
	return repartitioned
}

// wantsNullKeys reports whether an operator below n uses records with null keys: a join that forwards them without a
// match.
func (n *node) wantsNullKeys() bool {
	for _, child := range n.children {
		if child.nullKeys || len(child.stores) == 0 && child.repartition == nil && child.wantsNullKeys() {
			return true
		}
	}
	return false
}

// label names the topic in errors.
func (r *repartition) label() string {
	if r.follows {
		return fmt.Sprintf("foreign-key join %q", r.name)
	}
	return fmt.Sprintf("repartition %q", r.name)
}
