package topology

import "github.com/seed84377926/millrace/codecs"

// To writes the stream to a topic. A null key or value is written as null. Records are partitioned by the bytes of
// their key, as Kafka's own clients do it; windowed keys are partitioned by the key without the window, see
// [TimeWindowedCodec]. [PartitionBy] and [Multicast] choose partitions in another way.
func (s Stream[K, V]) To(topic string, key codecs.Codec[K], value codecs.Codec[V], opts ...ToOption) {
	n, o := s.graph().sink("sink", opts)
	n.topic = topic
	if err := checkTopic(topic); err != nil {
		n.graph.errorf(n, "%w", err)
	}
	n.requireCodecs(key != nil, value != nil)
	out := &output[K, V]{node: n, keys: keying[K]{codec: key}, value: value, partitioner: partitionerFor[K, V](n, o.partitioner)}
	out.write(s)
}

// ToDynamic writes each record to the topic that f returns for it (KIP-303). Otherwise it works like [Stream.To]. The
// topics must exist: the runtime looks a topic up when the first record for it comes, and a record for a missing topic
// is a [engine.RouteError], for which the policy of [OnProduceFailure] decides. The internal topics of the topology are
// refused.
func (s Stream[K, V]) ToDynamic(
	f func(r Record[K, V]) (topic string), key codecs.Codec[K], value codecs.Codec[V], opts ...ToOption,
) {
	n, o := s.graph().sink("dynamic-sink", opts)
	n.dynamic = true
	n.require(f != nil, "function")
	n.requireCodecs(key != nil, value != nil)
	out := &output[K, V]{
		node: n, keys: keying[K]{codec: key}, value: value, choose: f, partitioner: partitionerFor[K, V](n, o.partitioner),
	}
	out.write(s)
}

// sink registers a sink.
func (g *graph) sink(kind string, opts []ToOption) (*node, toOptions) {
	var o toOptions
	var all []NodeOption
	for _, opt := range opts {
		if opt == nil {
			all = append(all, nil)
			continue
		}
		opt.applyTo(&o)
	}
	return g.node(kind, append(all, o.nodeOptions)), o
}
