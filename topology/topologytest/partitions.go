package topologytest

import (
	"errors"
	"fmt"
	"maps"

	"github.com/seed84377926/millrace/topology"
	"github.com/seed84377926/millrace/topology/engine"
	"github.com/seed84377926/millrace/topology/partitions"
)

// Partitions gives all topics n partitions instead of one. Repartition topics have as many as in production: the number
// that they ask for; else the number of the inputs that an operator brings together with them; else the largest number
// of tasks of the sub-topologies that write to them. Each sub-topology has as many tasks as the largest of its inputs
// has partitions. Without Partitions, and without [TopicPartitions] for an input, there is one task for each
// sub-topology, and repartition topics have one partition whatever they ask for.
func Partitions(n int32) Option {
	return func(d *Driver) { d.common = n }
}

// TopicPartitions gives an input or output topic n partitions. 0 means that the output topic does not exist, for tests
// of [topology.Stream.ToDynamic]. Inputs that an operator brings together need the same number.
func TopicPartitions(topic string, n int32) Option {
	return func(d *Driver) { d.partitions[topic] = n }
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// size derives the partitions of all inputs, and returns the number of tasks by group.
func (d *Driver) size() (tasks map[string]int32, err error) {
	subs := d.top.SubTopologies()
	sizes := partitions.Sizes{Topics: make(map[string]int32), Groups: make(map[string]int32)}
	several := d.common != 0
	for _, sub := range subs {
		inputs := sub.Inputs()
		if len(inputs) == 0 { // patterns that match nothing yet
			sizes.Groups[sub.Group()] = d.ordinary()
		}
		for _, in := range inputs {
			if in.Repartition {
				continue
			}
			n, said := d.partitions[in.Topic]
			if !said {
				n = d.ordinary()
			}
			if n <= 0 {
				return nil, fmt.Errorf("input %q: %d partitions; it needs at least one", in.Topic, n)
			}
			several = several || said
			sizes.Topics[in.Topic] = n
		}
	}
	if !several {
		for _, sub := range subs {
			sizes.Groups[sub.Group()] = 1
		}
		return sizes.Groups, nil
	}
	sizes.Derive(subs)
	var errs []error
	for _, sub := range subs {
		errs = append(errs, sizes.Check(sub)...)
	}
	maps.Copy(d.partitions, sizes.Topics)
	return sizes.Groups, errors.Join(errs...)
}

// ordinary is the number of partitions of topics for which no other number is given.
func (d *Driver) ordinary() int32 {
	if d.common == 0 {
		return 1
	}
	return d.common
}

func (d *Driver) partitionsOf(topic string) (int32, error) {
	n, ok := d.partitions[topic]
	switch {
	case !ok:
		return d.ordinary(), nil
	case n <= 0:
		return 0, errors.New("it does not exist; create it or correct its name")
	default:
		return n, nil
	}
}

// pin chooses the partition of a piped record.
func (d *Driver) pin(topic string, r *engine.RawRecord) error {
	n, err := d.partitionsOf(topic)
	switch {
	case err != nil:
		return fmt.Errorf("topic %q: %w", topic, err)
	case r.Pinned && (r.Partition < 0 || r.Partition >= n):
		return fmt.Errorf("topic %q has no partition %d, only %d partitions", topic, r.Partition, n)
	case !r.Pinned && r.Key == nil && r.PartitionKey == nil:
		r.Partition = d.keyless[topic] % n
		d.keyless[topic]++
	default:
		r.Partition = partitionOf(*r, n)
	}
	r.Pinned = true
	return nil
}

// partitionOf returns the partition of an output record. Records that have neither a key nor a chosen partition go to
// the first one.
func partitionOf(r engine.RawRecord, partitions int32) int32 {
	switch {
	case r.Pinned:
		return r.Partition
	case r.PartitionKey != nil:
		return topology.Partition(r.PartitionKey, partitions)
	case r.Key != nil:
		return topology.Partition(r.Key, partitions)
	default:
		return 0
	}
}
