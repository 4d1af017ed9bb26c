package topology

import "reflect"

// TimestampOf makes f set the timestamp of each record of a source, in milliseconds since the Unix epoch, for example
// from a field of its value. All operators see this timestamp, and the task uses it to choose its next input.
// partitionTime is the largest timestamp that f has returned for the partition so far, -1 if there is none; it survives
// restarts. A record with a negative result is dropped ([DropNegativeTimestamp]).
//
// f must be a function of its arguments alone. Its types are the types of the source. It may be called more than once
// for a record.
func TimestampOf[K, V any](f func(r Record[K, V], partitionTime int64) int64) SourceOption {
	return timestampOption[K, V](f)
}

// OrPartitionTime is a function for [TimestampOf]. It returns the timestamp of the record in Kafka, or the partition
// time if that timestamp is negative.
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

// timestampsFor returns f with the types of the source n, or nil if f is nil. If f has other types, it records a
// mistake and returns nil.
func timestampsFor[K, V any](n *node, f anyTimestamps) timestampOption[K, V] {
	if f == nil {
		return nil
	}
	typed, ok := f.(timestampOption[K, V])
	if !ok {
		n.graph.errorf(n, "TimestampOf is for records of type %v, and the source has %v", f.records(), reflect.TypeFor[Record[K, V]]())
		return nil
	}
	n.require(typed != nil, "function of TimestampOf")
	return typed
}
