package topology

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
)

type partitionsOption int32

func (p partitionsOption) applyRepartition(o *repartitionOptions) {
	o.partitions, o.counted = int32(p), true
}

// Partitions sets the number of partitions of a repartition topic. Without it, the topic has as many partitions as the
// topics it is joined with, or else as many as the sources before it. The number cannot change during the life of the
// topic.
func Partitions(n int32) RepartitionOption { return partitionsOption(n) }

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
	b := s.graph()
	r := &repartition{name: name, suffix: "-repartition"}
	sink := b.namedNode(kind, name)
	sink.requireCodecs(key != nil, value != nil)
	for _, opt := range opts {
		if opt == nil {
			b.errorf(sink, "option is nil")
			continue
		}
		opt.applyRepartition(&r.repartitionOptions)
	}
	if r.counted && r.partitions <= 0 {
		b.errorf(sink, "%d partitions; a topic has at least one", r.partitions)
	}
	sink.topic = fmt.Sprintf("%s-%s%s", b.app, name, r.suffix)
	source := &node{graph: b, kind: "source", site: sink.site, topic: sink.topic, repartition: r}
	b.register(source)
	if r.placed {
		source.place(r.sub)
	}
	sink.repartition, r.sink, r.source = r, sink, source

	out := &output[K, V]{
		node: sink, keys: keying[K]{codec: key}, value: value, partitioner: partitionerFor[K, V](sink, r.partitioner),
	}
	out.write(s)
	repartitioned := receive(&inputFormat[K, V]{node: source, key: key, value: value, internal: true})
	repartitioned.keys.repartition = r
	return repartitioned
}
