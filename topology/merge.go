package topology

import (
	"reflect"

	"github.com/seed84377926/millrace/topology/engine"
)

// Merge returns the stream of the records of this stream and the others: those of one input topic in their order, those of
// several in the order in which the task takes them. All are processed by the same tasks, as many as the largest of the topics
// has partitions. Equal keys of topics with different numbers of partitions are in different tasks; to join the result, all must
// have the same. To read several topics as one stream, merge their sources.
//
// The keys of the result are where their partitioner put them if that is so for all the streams, and if all encode their
// keys alike. Else, to group or join it, send it through [Stream.Repartition] first.
func (s Stream[K, V]) Merge(others ...Stream[K, V]) Stream[K, V] {
	n := s.builder().node("merge", nil)
	if len(others) == 0 {
		n.builder.errorf(n, "there is no stream to merge with")
	}
	out := &port[item[K, V]]{node: n}
	keys := s.keys
	link(s.out, n, out.receiver)
	for _, other := range others {
		if other.out == nil {
			n.builder.errorf(n, "a stream is the zero Stream; streams are made by topology.Source")
			continue
		}
		same := sameCodec(s.keys.codec, other.keys.codec)
		link(other.out, n, func(h *engine.Host) receiver[item[K, V]] {
			next := out.receiver(h)
			if same {
				return next
			}
			// What encodes the keys behind the merge must not find the encoding of another codec.
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
