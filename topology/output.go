package topology

import (
	"fmt"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// output is how a node writes a stream to topics.
type output[K, V any] struct {
	node        *node
	keys        keying[K] // as the topic has them
	value       codecs.Codec[V]
	choose      func(r Record[K, V]) string // nil: the topic of the node
	partitioner *partitioner[K, V]          // nil: by key
}

// write puts the node of o below s.
func (o *output[K, V]) write(s Stream[K, V]) {
	shared := sameCodec(o.keys.codec, s.keys.codec)
	inner, _ := o.keys.codec.(innerKeyer)
	link(s.out, o.node, func(h *engine.Host) receiver[item[K, V]] {
		w := &writing[K, V]{output: o, h: h, shared: shared, inner: inner, own: new(encodedKey), topic: o.node.topic}
		if r := o.node.repartition; r != nil {
			w.dropsNullKeys = !r.source.wantsNullKeys()
		}
		if o.choose == nil && o.partitioner != nil {
			var err error
			if w.partitions, err = h.Partitions(o.node.topic); err != nil {
				h.Fail(err)
			}
		}
		w.send = w.multicast
		return w.take
	})
}

// writing is an output in a task.
type writing[K, V any] struct {
	*output[K, V]
	h      *engine.Host
	shared bool // the stream has the encoded keys that the topic wants
	inner  innerKeyer
	own    *encodedKey
	known  map[string]int32 // partitions of the topics that were chosen
	send   func(partition int32)

	dropsNullKeys bool

	// The record under way.
	raw        engine.RawRecord
	topic      string
	partitions int32 // of topic, if somebody asks
	sent       bool
	err        error
}

// take writes one record.
func (w *writing[K, V]) take(it *item[K, V]) (err error) {
	h, n := w.h, w.node
	h.Enter(n)
	if it.NullKey && w.dropsNullKeys {
		h.Drop(n, DropNullKey, it.Timestamp)
		return nil
	}
	if w.choose != nil {
		if err := w.route(w.choose(it.Record)); err != nil {
			return err
		}
	}
	if err := w.encode(it); err != nil {
		return err
	}
	switch p := w.partitioner; {
	case p == nil:
		return w.put()
	case p.one != nil:
		return w.place(p.one(it.Record, w.partitions))
	default:
		w.sent, w.err = false, nil
		p.many(it.Record, w.partitions, w.send)
		if w.err == nil && !w.sent {
			h.Drop(n, DropNoPartition, it.Timestamp)
		}
		return w.err
	}
}

// encode makes the record as Kafka has it.
func (w *writing[K, V]) encode(it *item[K, V]) (err error) {
	h, n := w.h, w.node
	w.raw = engine.RawRecord{Timestamp: it.Timestamp, Headers: it.Headers}
	if !it.NullKey {
		memo := it.key
		if !w.shared {
			w.own.reset()
			memo = w.own
		}
		if w.raw.Key, err = w.keys.encode(h, n, memo, it.Key); err != nil {
			return err
		}
		if w.inner != nil {
			w.raw.PartitionKey = w.inner.innerKey(w.raw.Key)
		}
	}
	if !it.NullValue {
		if w.raw.Value, err = engine.Encode(h.Arena(), w.value, it.Value); err != nil {
			return h.RecordError(n, err)
		}
	}
	return nil
}

// place sends the record to a partition that a function of the user chose.
func (w *writing[K, V]) place(partition int32) error {
	if err := checkPartition(w.topic, partition, w.partitions); err != nil {
		return w.h.RecordError(w.node, err)
	}
	w.raw.Pinned = partition != DefaultPartition
	w.raw.Partition = max(0, partition)
	return w.put()
}

// multicast is what the function of the user calls for each partition.
func (w *writing[K, V]) multicast(partition int32) {
	w.sent = true
	if w.err == nil {
		w.err = w.place(partition)
	}
}

func (w *writing[K, V]) put() error {
	return w.h.Send(w.node, w.topic, w.raw)
}

// route sets the topic that the record goes to.
func (w *writing[K, V]) route(topic string) error {
	n, ok := w.known[topic]
	if !ok {
		if what, internal := w.node.graph.internal[topic]; internal {
			return w.h.RecordError(w.node, fmt.Errorf("the function chose topic %q, which is that of %s and only for the topology itself", topic, what))
		}
		if err := checkTopic(topic); err != nil {
			return w.h.RecordError(w.node, fmt.Errorf("the function chose a topic that cannot be: %w", err))
		}
		var err error
		if n, err = w.h.Partitions(topic); err != nil {
			return w.h.RouteError(w.node, topic, err)
		}
		if w.known == nil {
			w.known = make(map[string]int32)
		}
		w.known[topic] = n
	}
	w.topic, w.partitions = topic, n
	return nil
}
