package topology

import "github.com/seed84377926/millrace/codecs"

// Source reads a topic as a stream. A record with a negative timestamp is dropped.
//
// Each topic is read once in a topology: keep the stream in a variable to use it again.
func Source[K, V any](b *Builder, topic string, key codecs.Codec[K], value codecs.Codec[V], opts ...NodeOption) Stream[K, V] {
	n := b.node("source", opts)
	return read(n, topic, key, value)
}

// read makes n the source of an external topic.
func read[K, V any](n *node, topic string, key codecs.Codec[K], value codecs.Codec[V]) Stream[K, V] {
	n.topic = topic
	if err := checkTopic(topic); err != nil {
		n.builder.errorf(n, "%w", err)
	} else if other := n.builder.sources[topic]; other != nil {
		n.builder.errorf(n, "topic %q is read at %s already; use that stream or table again", topic, other.site)
	} else {
		n.builder.sources[topic] = n
	}
	n.requireCodecs(key != nil, value != nil)
	return receive(n, key, value)
}

// receive returns the stream that the source n decodes.
func receive[K, V any](n *node, key codecs.Codec[K], value codecs.Codec[V]) Stream[K, V] {
	out := &port[item[K, V]]{node: n}
	n.open = func(t *Task) rawReceiver { return decode(t, n, key, value, out.receiver(t)) }
	return Stream[K, V]{out: out, keys: keying[K]{codec: key}}
}

func decode[K, V any](
	t *Task, n *node, key codecs.Codec[K], value codecs.Codec[V], next receiver[item[K, V]],
) rawReceiver {
	it := &item[K, V]{key: new(encodedKey)}
	return func(r *RawRecord) (err error) {
		t.at = n
		it.key.reset()
		it.Record = Record[K, V]{NullKey: r.Key == nil, NullValue: r.Value == nil, Timestamp: r.Timestamp, Headers: r.Headers}
		if !it.NullKey {
			if it.Key, err = key.Decode(r.Key); err != nil {
				return t.decodeError(n, "key", err)
			}
		}
		if !it.NullValue {
			if it.Value, err = value.Decode(r.Value); err != nil {
				return t.decodeError(n, "value", err)
			}
		}
		if r.Timestamp < 0 {
			t.drop(n, DropNegativeTimestamp)
			return nil
		}
		t.time.advance(r.Timestamp)
		return next(it)
	}
}
