package topology

import (
	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// inputFormat says how the records of a source are read.
type inputFormat[K, V any] struct {
	node       *node
	key        codecs.Codec[K]
	value      codecs.Codec[V]
	timestamps timestampOption[K, V] // nil: those of Kafka
	internal   bool                  // the topology writes the topic itself: its sources have checked the times
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
	var clock *engine.KeptTime
	reader := engine.Reader{Bounded: !in.internal}
	if in.timestamps != nil {
		clock = h.StoredTime("/source/" + topic)
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
			h.Drop(n, DropNegativeTimestamp, it.Timestamp)
			return nil
		}
		if !in.internal {
			if err := h.CheckTime(n, it.Timestamp); err != nil {
				return err
			}
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

// stamped returns the function of a reader that tells the timestamp of a record before it is processed.
func stamped[K, V any](in *inputFormat[K, V]) func(r *engine.RawRecord, partitionTime int64) int64 {
	return func(r *engine.RawRecord, partitionTime int64) (timestamp int64) {
		defer func() {
			if recover() != nil {
				timestamp = r.Timestamp
			}
		}()
		var record Record[K, V]
		if _, err := in.decode(r, &record); err != nil {
			return r.Timestamp
		}
		return in.timestamps(record, partitionTime)
	}
}
