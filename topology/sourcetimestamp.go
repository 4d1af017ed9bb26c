package topology

import "reflect"

// TimestampOf has f tell the timestamp of each record of a source, in milliseconds since the Unix epoch: of a field of its value,
// say. The record has it from then on, and the task chooses by it which of its inputs is next. partitionTime is
// the largest timestamp that f has told for the partition so far, -1 if there is none; it survives restarts. A record with a negative
// result is dropped ([DropNegativeTimestamp]).
//
// f must be a function of its arguments alone. Its types are those of the source. It may be called more than once for a
// record.
func TimestampOf[K, V any](f func(r Record[K, V], partitionTime int64) int64) SourceOption {
	return timestampOption[K, V](f)
}

// OrPartitionTime is a function for [TimestampOf]: the timestamp that the record has in Kafka, or, if that is negative, the
// partition time.
func OrPartitionTime[K, V any](r Record[K, V], partitionTime int64) int64 {
	if r.Timestamp < 0 {
		return partitionTime
	}
	return r.Timestamp
}

type timestampOption[K, V any] func(r Record[K, V], partitionTime int64) int64

func (f timestampOption[K, V]) applySource(o *sourceOptions) { o.timestamps = f }
func (f timestampOption[K, V]) applyTable(o *tableOptions)   { f.applySource(&o.sourceOptions) }

func (f timestampOption[K, V]) records() reflect.Type { return reflect.TypeFor[Record[K, V]]() }

// anyTimestamps is a function for timestamps whose types are not known yet.
type anyTimestamps interface{ records() reflect.Type }

// timestampsFor returns f with the types of the source n, nil if there is none or if it has other types, which is remembered
// as a mistake.
func timestampsFor[K, V any](n *node, f anyTimestamps) timestampOption[K, V] {
	if f == nil {
		return nil
	}
	typed, ok := f.(timestampOption[K, V])
	if !ok {
		n.builder.errorf(n, "TimestampOf is for records of type %v, and the source has %v", f.records(), reflect.TypeFor[Record[K, V]]())
		return nil
	}
	n.require(typed != nil, "function of TimestampOf")
	return typed
}

// Timestamped says that the timestamps of an input, an index of [SubTopology.Inputs], are those that a function tells, see
// [TimestampOf].
func (t *Task) Timestamped(input int) bool { return t.sub.sources[input].stamp != nil }

// Timestamp returns the timestamp that Process will give a record of the given input, for whoever chooses among inputs.
// partitionTime is the largest one of the records before it. It does not change the task. If the record cannot be decoded, or the
// function panics, it is the timestamp that the record has in Kafka: Process will say what is wrong.
func (t *Task) Timestamp(input int, r *RawRecord, partitionTime int64) int64 {
	if !t.Timestamped(input) {
		return r.Timestamp
	}
	return t.sub.sources[input].stamp(r, partitionTime)
}

// PartitionTime returns the largest timestamp of the records of an input that is [Task.Timestamped], -1 if there is none.
func (t *Task) PartitionTime(input int) int64 {
	if c := t.partitionTimes[t.sub.inputs[input].Topic]; c != nil {
		return c.now
	}
	return unknownTime
}

// stamped returns the function for node.stamp.
func stamped[K, V any](in *inputFormat[K, V]) func(r *RawRecord, partitionTime int64) int64 {
	return func(r *RawRecord, partitionTime int64) (timestamp int64) {
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
