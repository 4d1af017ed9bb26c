package topology

import "github.com/seed84377926/millrace/codecs"

// To writes the stream to a topic. A null key or value is written as null. Records are partitioned by the bytes of their
// key, as Kafka's own clients do; the key of a window by the key that was windowed, see [TimeWindowedCodec].
func (s Stream[K, V]) To(topic string, key codecs.Codec[K], value codecs.Codec[V], opts ...NodeOption) {
	n := s.builder().node("sink", opts)
	n.topic = topic
	if err := checkTopic(topic); err != nil {
		n.builder.errorf(n, "%w", err)
	}
	n.requireCodecs(key != nil, value != nil)
	write(s, n, key, value, false)
}

// write makes n the sink of s for n.topic.
func write[K, V any](s Stream[K, V], n *node, key codecs.Codec[K], value codecs.Codec[V], needsKey bool) {
	keys := keying[K]{codec: key}
	shared := sameCodec(key, s.keys.codec)
	inner, _ := key.(innerKeyer)
	link(s.out, n, func(t *Task) receiver[item[K, V]] {
		own := new(encodedKey)
		return func(it *item[K, V]) (err error) {
			t.at = n
			r := RawRecord{Timestamp: it.Timestamp, Headers: it.Headers}
			switch {
			case !it.NullKey:
				memo := it.key
				if !shared {
					own.reset()
					memo = own
				}
				if r.Key, err = keys.encode(t, n, memo, it.Key); err != nil {
					return err
				}
				if inner != nil {
					r.PartitionKey = inner.innerKey(r.Key)
				}
			case needsKey:
				t.drop(n, DropNullKey)
				return nil
			}
			if !it.NullValue {
				if r.Value, err = encode(&t.arena, value, it.Value); err != nil {
					return t.recordError(n, err)
				}
			}
			t.arena.keep()
			if err := t.cfg.Sink.Send(n.topic, r); err != nil {
				return t.nodeError(n, err)
			}
			return nil
		}
	})
}
