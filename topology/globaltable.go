package topology

import (
	"fmt"
	"slices"

	"github.com/seed84377926/millrace/codecs"
	"github.com/seed84377926/millrace/topology/engine"
)

// GlobalTable is a table whose rows are on every instance, whatever their partitions, so that a stream can be joined
// with it by any key, and a processor can read any row. It is made by [GlobalTableOf].
type GlobalTable[K, V any] struct {
	node *node // stands for the call that made it and is no part of the graph
	keys keying[K]
	view *view[K, V]
}

// GlobalTableOf reads a topic as a global table: each record replaces the value of its key, whatever its timestamp, and
// a null value deletes the key. Records with a null key are skipped. The topic should be compacted: it is the only copy
// of the table in Kafka.
//
// Each instance reads all partitions of the topic and keeps the rows on its disk. No task starts before the instance
// has read everything that was in the topic when the instance started. From then on the rows follow the topic, and no
// record of a stream waits for them: the result of a lookup depends on when it happens, and a record that is processed
// again after a failure may find another row. The application finds its own writes to the topic as soon as they are
// committed.
//
// The table has the name of the topic; if this is not a valid name of a store, choose one with [Named]. A topic is
// either a global table or read by [Source] or [TableOf]. The table has no store that views can open: to query the rows
// from outside, read the topic with TableOf in an application that does, and open a view of that table.
func GlobalTableOf[K, V any](
	b *Builder, topic string, key codecs.Codec[K], value codecs.Codec[V], opts ...NodeOption,
) GlobalTable[K, V] {
	n := b.newNode("global-table", opts)
	b.registerGlobal(n)
	n.topic = topic
	b.claimSource(n)
	if !n.named {
		n.name = topic
		b.nameTable(n)
	}
	n.requireCodecs(key != nil, value != nil)
	rows := &view[K, V]{value: value, open: func(h *engine.Host) lookup[K, V] { return openGlobal[K](h, n, value) }}
	return GlobalTable[K, V]{node: n, keys: keying[K]{codec: key}, view: rows}
}

// registerGlobal adds a global table. It is not an operator.
func (g *graph) registerGlobal(n *node) {
	if n.sub != "" {
		g.errorf(n, "a global table is in no sub-topology; leave topology.InSubTopology out")
	}
	if g.isOpen(n) {
		g.globals = append(g.globals, n)
	}
}

// readsGlobal makes n a reader of a global table. If n cannot be one, it records a mistake and reports false.
func (n *node) readsGlobal(global *node) bool {
	if global == nil {
		n.graph.errorf(n, "the global table is the zero GlobalTable; global tables are made by topology.GlobalTableOf")
		return false
	}
	if !n.sameBuilder(global) {
		return false
	}
	n.globals = append(n.globals, global)
	return true
}

// In opens the table for reading where a processor is created. Unlike with [Table.In], the processor sees the rows of
// all partitions, stays in its sub-topology and may be partitioned in any way. It finds the same row as a
// [Stream.JoinGlobal] at that moment, which may change from one Get to the next.
//
// A failure to read the table is never attributed to the record. A row that cannot be decoded is an error of Get: the
// processor may return it, so that the record fails, or ignore it.
func (g GlobalTable[K, V]) In(p ProcessorScope) TableRows[K, V] {
	if g.node == nil {
		panic("topology: method of the zero GlobalTable called; global tables are made by topology.GlobalTableOf")
	}
	sc := p.scopeOf()
	return openIn(sc, g.node, fmt.Sprintf("global table %q", g.node.name), func() (TableRows[K, V], bool) {
		if sc.h.Trial() && !sc.n.readsGlobal(g.node) {
			return TableRows[K, V]{}, false
		}
		if !slices.Contains(sc.n.globals, g.node) {
			return TableRows[K, V]{}, false
		}
		return TableRows[K, V]{sc, g.keys, g.view.open(sc.h)}, true
	})
}

func (n *node) looksUp(name string) bool {
	return slices.ContainsFunc(n.globals, func(g *node) bool { return g.name == name })
}
