package topology

import (
	"reflect"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// Stream is a sequence of records. Its methods are the operators that can follow. A stream may be used several times,
// and every use gets all records.
//
// Streams are made by [Source] and by operators. The zero Stream is not usable: calling a method on it panics.
type Stream[K, V any] struct {
	out  *port[item[K, V]]
	keys keying[K]
}

// keying describes the keys of a stream or table: how they are encoded, and whether each record is in the partition
// that the partitioner chooses for its key.
type keying[K any] struct {
	codec codecs.Codec[K] // nil if the operator that made the keys has none
	// changed is where the user changed the keys, "file:line": from there on, equal keys may be in different
	// partitions. It is empty if each record is in the partition that the partitioner chooses for its key.
	changed string
	// repartition is the last repartition that the keys went through, nil if they went through none.
	repartition *repartition
}

// receiver takes the messages that flow along one arrow of the graph: M is an item or a change. It must not keep m.
type receiver[M any] func(m *M) error

// port is the typed output of a node: the arrows that leave it.
type port[M any] struct {
	node  *node
	links []func(*engine.Host) receiver[M]
	ends  []*node // of the links
}

// then puts n below from. create is called once for each task: it gets next, the receiver of the output of n, and
// returns the receiver of the output of from. An operator with one input needs no more than this.
func then[M, M2 any](from *port[M], n *node, create func(h *engine.Host, next receiver[M2]) receiver[M]) *port[M2] {
	out := &port[M2]{node: n}
	link(from, n, func(h *engine.Host) receiver[M] { return create(h, out.receiver(h)) })
	return out
}

// link draws an arrow from a port to one input of n.
func link[M any](from *port[M], n *node, wire func(*engine.Host) receiver[M]) {
	if n.addParent(from.node) {
		from.links, from.ends = append(from.links, wire), append(from.ends, n)
	}
}

// linkFirst is link for an operator that must be done before all other operators below from.
func linkFirst[M any](from *port[M], n *node, wire func(*engine.Host) receiver[M]) {
	if n.addParent(from.node) {
		from.links, from.ends = slices.Insert(from.links, 0, wire), slices.Insert(from.ends, 0, n)
	}
}

// receiver returns the receiver of the output of p in the task of h.
func (p *port[M]) receiver(h *engine.Host) receiver[M] { return broadcast(p.receivers(h)) }

// receivers returns the receivers of the output of p, one for each link. All calls return the same receivers: a node
// with several inputs wires the operators below it once.
func (p *port[M]) receivers(h *engine.Host) []receiver[M] {
	return engine.Once(h, p, func() []receiver[M] {
		receivers := make([]receiver[M], len(p.links))
		for i, wire := range p.links {
			receivers[i] = wire(h)
		}
		return receivers
	})
}

// broadcast returns a receiver that passes a message to all receivers, in their order.
func broadcast[M any](receivers []receiver[M]) receiver[M] {
	switch len(receivers) {
	case 0:
		return func(*M) error { return nil }
	case 1:
		return receivers[0]
	}
	return func(m *M) error {
		for _, receive := range receivers {
			if err := receive(m); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s Stream[K, V]) graph() *graph {
	if s.out == nil {
		panic("topology: method of the zero Stream called; streams are made by topology.Source")
	}
	return s.out.node.graph
}

// copartitioned reports whether equal keys are known to be in one partition. If they are not, it records a mistake of
// n.
func (k keying[K]) copartitioned(n *node) bool {
	if k.changed == "" {
		return true
	}
	n.graph.errorf(n, "the keys were changed at %s, so equal keys may be in different partitions; "+
		"call Repartition between the two", k.changed)
	return false
}

// sameEncoding records a mistake of n if the other side of a join, made by the node other, encodes its keys with
// another kind of codec, or is known to be partitioned differently: equal keys would be in different partitions.
func (k keying[K]) sameEncoding(n *node, others keying[K], other *node) {
	if a, b := k.repartition, others.repartition; a != nil && b != nil && (a.partitioner == nil) != (b.partitioner == nil) {
		n.graph.errorf(n, "one of the repartitions %q at %s and %q at %s has a partitioner of its own and the other has not, "+
			"so equal keys may be in different partitions; give both the same", a.name, a.sink.site, b.name, b.sink.site)
	}
	if k.codec == nil || others.codec == nil || reflect.TypeOf(k.codec) == reflect.TypeOf(others.codec) {
		return
	}
	n.graph.errorf(n, "one side encodes its keys with %T, the %s at %s with %T, so equal keys may be in different partitions; "+
		"use one codec for both", k.codec, other.label(), other.site, others.codec)
}

// encode returns the encoding of the key of a record. It is made once for all operators that need it.
func (k keying[K]) encode(h *engine.Host, n *node, memo *encodedKey, key K) ([]byte, error) {
	if memo.data != nil {
		return memo.data, nil
	}
	data, err := engine.Encode(h.Arena(), k.codec, key)
	if err != nil {
		return nil, h.RecordError(n, err)
	}
	memo.data = data
	return data, nil
}

// sameCodec reports whether both codecs are known to give the same encodings: they are equal.
func sameCodec[T any](a, b codecs.Codec[T]) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
