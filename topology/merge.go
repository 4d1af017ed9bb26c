package topology

import (
	"reflect"

	"github.com/seed84377926/millrace/topology/engine"
)

// Merge returns the stream of the records of this stream and the others. Records of one input topic stay in their
// order; records of several topics come in the order in which the task takes them. The same tasks process all of them,
// as many as the largest of the topics has partitions. If the topics have different numbers of partitions, equal keys
// are in different tasks: to join the result, all topics must have the same number. To read several topics as one
// stream, merge their sources.
//
// To group or join the result, each of its records must be in the partition that the partitioner chooses for its key.
// This is so if it is so for each of the streams and if all of them encode their keys alike. Otherwise send the result
// through [Stream.Repartition] first.
func (s Stream[K, V]) Merge(others ...Stream[K, V]) Stream[K, V] {
	n := s.graph().node("merge", nil)
	if len(others) == 0 {
		n.graph.errorf(n, "there is no stream to merge with")
	}
	out := &port[item[K, V]]{node: n}
	keys := s.keys
	link(s.out, n, out.receiver)
	for _, other := range others {
		if other.out == nil {
			n.graph.errorf(n, "a stream is the zero Stream; streams are made by topology.Source")
			continue
		}
		same := sameCodec(s.keys.codec, other.keys.codec)
		link(other.out, n, func(h *engine.Host) receiver[item[K, V]] {
			next := out.receiver(h)
			if same {
				return next
			}
			// An operator downstream that encodes the key must not find the encoding of another codec.
			own := &item[K, V]{key: new(encodedKey)}
			return func(it *item[K, V]) error {
				own.key.reset()
				own.Record = it.Record
				return next(own)
			}
		})
		switch {
		case keys.changed != "":
		case other.keys.changed != "":
			keys.changed = other.keys.changed
		case reflect.TypeOf(s.keys.codec) != reflect.TypeOf(other.keys.codec):
			keys.changed = n.site
		}
	}
	return Stream[K, V]{out: out, keys: keys}
}
