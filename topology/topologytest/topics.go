package topologytest

import (
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
)

// InputTopic pipes typed records into a topic.
type InputTopic[K, V any] struct {
	d     *Driver
	topic string
	key   codecs.Codec[K]
	value codecs.Codec[V]
}

// Input returns the input topic with the given name, which the topology must read.
func Input[K, V any](d *Driver, topic string, key codecs.Codec[K], value codecs.Codec[V]) *InputTopic[K, V] {
	d.t.Helper()
	if !d.reads(topic) && !d.discover(topic) {
		d.t.Fatalf("topology %q does not read topic %q", d.top.Name(), topic)
	}
	return &InputTopic[K, V]{d, topic, key, value}
}

// Pipe runs a record through the topology. timestamp is in milliseconds since the Unix epoch.
func (in *InputTopic[K, V]) Pipe(key K, value V, timestamp int64) {
	in.d.t.Helper()
	in.PipeRecord(topology.Record[K, V]{Key: key, Value: value, Timestamp: timestamp})
}

// PipeNullKey pipes a record without a key.
func (in *InputTopic[K, V]) PipeNullKey(value V, timestamp int64) {
	in.d.t.Helper()
	in.PipeRecord(topology.Record[K, V]{NullKey: true, Value: value, Timestamp: timestamp})
}

// PipeNullValue pipes a record without a value, which deletes the key of a table.
func (in *InputTopic[K, V]) PipeNullValue(key K, timestamp int64) {
	in.d.t.Helper()
	in.PipeRecord(topology.Record[K, V]{Key: key, NullValue: true, Timestamp: timestamp})
}

// PipeRecord pipes a record with its timestamp, headers and nulls.
func (in *InputTopic[K, V]) PipeRecord(r topology.Record[K, V]) {
	in.d.t.Helper()
	if err := in.TryPipe(r); err != nil {
		in.d.t.Fatalf("pipe into %q: %v", in.topic, err)
	}
}

// PipeTo is PipeRecord into a partition, whatever the key is.
func (in *InputTopic[K, V]) PipeTo(partition int32, r topology.Record[K, V]) {
	in.d.t.Helper()
	raw, err := in.encode(r)
	if err == nil {
		raw.Pinned, raw.Partition = true, partition
		err = in.d.PipeRaw(in.topic, raw)
	}
	if err != nil {
		in.d.t.Fatalf("pipe into %q: %v", in.topic, err)
	}
}

// TryPipe is PipeRecord for records that may fail. After an error, state and outputs are as if the record had never
// been piped.
func (in *InputTopic[K, V]) TryPipe(r topology.Record[K, V]) error {
	raw, err := in.encode(r)
	if err != nil {
		return err
	}
	return in.d.PipeRaw(in.topic, raw)
}

func (in *InputTopic[K, V]) encode(r topology.Record[K, V]) (raw engine.RawRecord, err error) {
	raw = engine.RawRecord{Timestamp: r.Timestamp, Headers: r.Headers}
	if !r.NullKey {
		if raw.Key, err = in.key.Append([]byte{}, r.Key); err != nil {
			return raw, fmt.Errorf("key: %w", err)
		}
	}
	if !r.NullValue {
		if raw.Value, err = in.value.Append([]byte{}, r.Value); err != nil {
			return raw, fmt.Errorf("value: %w", err)
		}
	}
	return raw, nil
}

// OutputTopic reads typed records from a topic.
type OutputTopic[K, V any] struct {
	d     *Driver
	topic string
	key   codecs.Codec[K]
	value codecs.Codec[V]
}

// Output returns the output topic with the given name. The topology must write to it, or be able to if records choose
// their topics. A repartition topic can be read, too.
func Output[K, V any](d *Driver, topic string, key codecs.Codec[K], value codecs.Codec[V]) *OutputTopic[K, V] {
	d.t.Helper()
	writes := func(r *runner) bool { return r.sub.DynamicOutputs() || slices.Contains(r.sub.Outputs(), topic) }
	if !slices.ContainsFunc(d.runners, writes) {
		d.t.Fatalf("topology %q does not write topic %q", d.top.Name(), topic)
	}
	return &OutputTopic[K, V]{d, topic, key, value}
}

// Drain returns the records of the topic written since the last call of this method or of DrainPartitions.
func (out *OutputTopic[K, V]) Drain() []topology.Record[K, V] {
	out.d.t.Helper()
	var records []topology.Record[K, V]
	for _, r := range out.drain() {
		records = append(records, r.record)
	}
	return records
}

// DrainPartitions is Drain for topics with several partitions, see [Partitions]: it returns the records of each
// partition that got any. Records without a key are in the first partition unless another one was chosen.
func (out *OutputTopic[K, V]) DrainPartitions() map[int32][]topology.Record[K, V] {
	out.d.t.Helper()
	partitions := make(map[int32][]topology.Record[K, V])
	for _, r := range out.drain() {
		partitions[r.partition] = append(partitions[r.partition], r.record)
	}
	return partitions
}

// placed is a record with its partition.
type placed[K, V any] struct {
	partition int32
	record    topology.Record[K, V]
}

func (out *OutputTopic[K, V]) drain() []placed[K, V] {
	out.d.t.Helper()
	var records []placed[K, V]
	from := min(out.d.read[out.topic], len(out.d.sent))
	for _, s := range out.d.sent[from:] {
		if s.topic != out.topic {
			continue
		}
		r, err := out.decode(s.RawRecord)
		if err != nil {
			out.d.t.Fatalf("output %q: record %s: %v", out.topic, printRaw(s.RawRecord), err)
		}
		records = append(records, placed[K, V]{s.partition, r})
	}
	out.d.read[out.topic] = len(out.d.sent)
	return records
}

func (out *OutputTopic[K, V]) decode(raw engine.RawRecord) (r topology.Record[K, V], err error) {
	r = topology.Record[K, V]{
		NullKey: raw.Key == nil, NullValue: raw.Value == nil, Timestamp: raw.Timestamp, Headers: raw.Headers,
	}
	if !r.NullKey {
		if r.Key, err = out.key.Decode(raw.Key); err != nil {
			return r, fmt.Errorf("key: %w", err)
		}
	}
	if !r.NullValue {
		if r.Value, err = out.value.Decode(raw.Value); err != nil {
			return r, fmt.Errorf("value: %w", err)
		}
	}
	return r, nil
}
