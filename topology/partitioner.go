package topology

import (
	"fmt"
	"reflect"

	"github.com/seed84377926/millrace/internal/murmur2"
)

// DefaultPartition is a result of functions for [PartitionBy] and [Multicast]: the partition that the record would have
// without such a function, which follows from its key.
const DefaultPartition int32 = -1

// PartitionerOption is an option of [Stream.To], [Stream.ToDynamic], [Stream.Repartition] and [Stream.GroupBy]:
// [PartitionBy], [Multicast].
type PartitionerOption interface {
	ToOption
	RepartitionOption
}

// PartitionBy chooses the partition of each record: f gets the number of partitions and returns one from 0 to
// partitions-1, or [DefaultPartition]. Any other result is a [engine.RecordError]. f must be a function of the record
// alone. Its types are the types of the stream.
//
// Before a repartition, f must send equal keys to one partition; otherwise operators downstream work on parts of them.
// Joins with other streams and tables need the same partitioner on both sides. A view of a store downstream looks for a
// key where the default partitioner would put it.
func PartitionBy[K, V any](f func(r Record[K, V], partitions int32) int32) PartitionerOption {
	return &partitioner[K, V]{name: "PartitionBy", one: f}
}

// Multicast is [PartitionBy] for a function that sends a record to any number of partitions, with a call of send for
// each (KIP-873). A record that is sent to none is dropped. f must not keep send.
func Multicast[K, V any](f func(r Record[K, V], partitions int32, send func(partition int32))) PartitionerOption {
	return &partitioner[K, V]{name: "Multicast", many: f}
}

// partitioner is a function of the user for PartitionBy (one) or Multicast (many).
type partitioner[K, V any] struct {
	name string
	one  func(r Record[K, V], partitions int32) int32
	many func(r Record[K, V], partitions int32, send func(partition int32))
}

func (p *partitioner[K, V]) applyTo(o *toOptions)                   { o.partitioner = p }
func (p *partitioner[K, V]) applyRepartition(o *repartitionOptions) { o.partitioner = p }

func (p *partitioner[K, V]) option() string        { return p.name }
func (p *partitioner[K, V]) records() reflect.Type { return reflect.TypeFor[Record[K, V]]() }

// partitionerFor returns p with the types of the stream that n writes, or nil if p is nil. If p has other types, it
// records a mistake and returns nil.
func partitionerFor[K, V any](n *node, p anyPartitioner) *partitioner[K, V] {
	if p == nil {
		return nil
	}
	typed, ok := p.(*partitioner[K, V])
	if !ok {
		n.graph.errorf(n, "%s is for records of type %v, and the stream has %v", p.option(), p.records(), reflect.TypeFor[Record[K, V]]())
		return nil
	}
	n.require(typed.one != nil || typed.many != nil, "function of "+typed.name)
	return typed
}

// checkPartition returns an error if a function of the user must not choose the partition.
func checkPartition(topic string, partition, partitions int32) error {
	if partition >= 0 && partition < partitions || partition == DefaultPartition {
		return nil
	}
	return fmt.Errorf("the function chose partition %d of topic %q, which has %d; want 0 to %d, or topology.DefaultPartition",
		partition, topic, partitions, partitions-1)
}

// Partition returns the partition of key among n, the same as Kafka's Java client and Kafka Streams choose: murmur2 of
// the bytes without the sign bit, modulo n, which must be positive.
func Partition(key []byte, n int32) int32 { return murmur2.Partition(key, n) }
